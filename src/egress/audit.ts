/**
 * The audit: one line of JSON for every request and every tunnel of the forward proxy. Field names are its contract;
 * whoever reads the audit may rely on them.
 */
import type { Exchange } from '../exchange/exchange.ts'

export interface AuditRecord {
  readonly msg: 'egress'
  /** When the request came, in ISO 8601. */
  readonly time: string
  /** `ADDRESS:PORT` of the client. */
  readonly client: string
  /** Namespace of the client's workload; null: not known. */
  readonly namespace: string | null
  /** `ISSUER/SUBJECT` of the client's token; null: it has none. */
  readonly principal: string | null
  readonly method: string
  /** `HOST:PORT` */
  readonly target: string
  /** Without its query; null for a tunnel. */
  readonly path: string | null
  readonly decision: 'allowed' | 'refused'
  /** Why it was refused; null: it was not. */
  readonly reason: string | null
  readonly detail: string | null
  /** `NAMESPACE/NAME` of the ServiceEntry; `ALLOW_ANY` where none was needed; null: nothing allows it. */
  readonly allowedBy: string | null
  /** `ADDRESS:PORT` that was dialled last; null: none was. */
  readonly upstream: string | null
  /** That the client asked for in TLS; null: none, or not seen. */
  readonly serverName: string | null
  readonly status: number
  readonly flags: string | null
  /** Bytes of bodies, and of tunnels: from the client, and to it. */
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly durationMs: number
  readonly generation: string
}

/** @param exchange One that the forward proxy has looked at. */
export function auditRecord(exchange: Exchange, durationMs: number): AuditRecord {
  const { egress: facts, tokens, upstream, epoch } = exchange
  const isTunnel = exchange.method === 'CONNECT'
  const token = tokens[0]
  const origin = facts?.allowedBy ?? null
  return {
    msg: 'egress',
    time: new Date(exchange.startedAt).toISOString(),
    client: exchange.peerAddress,
    namespace: facts?.clientNamespace || null,
    principal: token === undefined ? null : `${token.issuer}/${token.subject}`,
    method: exchange.method,
    target: facts?.target ?? exchange.authority,
    path: isTunnel ? null : exchange.pathname || null,
    decision: facts === null || facts.denied !== '' ? 'refused' : 'allowed',
    reason: facts === null ? 'bad-request' : facts.denied || null,
    detail: facts?.detail || null,
    allowedBy: origin !== null ? `${origin.namespace}/${origin.name}` : facts?.any === true ? 'ALLOW_ANY' : null,
    upstream: upstream.endpoint || null,
    serverName: facts?.serverName || null,
    status: exchange.status,
    flags: exchange.flags || null,
    bytesSent: exchange.bytesReceived,
    bytesReceived: exchange.bytesSent,
    durationMs: Math.round(durationMs),
    generation: epoch.generation,
  }
}

export function auditLine(exchange: Exchange, durationMs: number): string {
  return `${JSON.stringify(auditRecord(exchange, durationMs))}\n`
}
