/** Kinds of Gateway servers that this version does not serve. They are left out, never opened in a weaker way. */
import type { Problem } from '../../plan/problem.ts'
import { problem } from '../findings.ts'
import type { GatewayServer } from './server.ts'

/** The reason why a server is left out; undefined where it can be served. */
export function unsupported(server: GatewayServer): Problem | undefined {
  const reason = reasonOf(server)
  if (reason === undefined) return undefined
  return problem('error', server.gateway, server.pointer, {
    code: 'gateway/unsupported',
    message: `${reason.what}, which this version does not serve: the server on port ${server.port} is left out`,
    remedy: reason.remedy,
  })
}

function reasonOf({ server }: GatewayServer): { what: string; remedy: string } | undefined {
  if (server.bind?.startsWith('unix:') !== true) return undefined
  return { what: 'bind is a Unix socket', remedy: 'Use an IP address and a port.' }
}
