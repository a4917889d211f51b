/** The same host on the same plaintext port of two Gateways: both serve it, with one route list. */
import type { Problem } from '../../plan/problem.ts'
import type { CompileContext } from '../context.ts'
import { problem } from '../findings.ts'
import type { PlacedServer } from '../gateways/ports.ts'

export function checkConflictingGateways({ placed }: CompileContext): Problem[] {
  return placed.ports.flatMap(({ servers }) => {
    const first = new Map<string, PlacedServer>()
    return servers.flatMap((server) => {
      if (server.class !== 'http') return []
      return server.hosts.flatMap(({ namespace, host }, i) => {
        const key = `${namespace}/${host}`
        const holder = first.get(key) ?? server
        first.set(key, holder)
        if (holder.gateway === server.gateway) return []
        return [
          problem('warning', server.gateway, `${server.pointer}/hosts/${i}`, {
            code: 'gateway/conflict',
            istioCode: 'IST0145',
            message: `host ${host} on port ${server.port} is served by Gateway ${holder.gatewayName} too; where both have routes for it, those of ${holder.gatewayName} come first`,
          }),
        ]
      })
    })
  })
}
