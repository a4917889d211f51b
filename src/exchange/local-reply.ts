/** An answer that the gateway gives by itself. Statuses, bodies, flags and details are Envoy's: semantics §11. */
export interface LocalReply {
  readonly status: number
  /** Sent as `text/plain` unless `headers` or the route say otherwise; absent or empty: no body, no content-type. */
  readonly body?: string | Buffer
  /** More headers of this reply, `[name, value, …]`. */
  readonly headers?: readonly string[]
  /** Envoy's response flag, for example `NR`; absent: none (`-` in logs). */
  readonly flag?: string
  /** Envoy's response code details, for example `route_not_found`. */
  readonly details: string
  /** What a gRPC request is told; absent: what `status` stands for. Other requests get `status` and `body`. */
  readonly grpcStatus?: number
  /** The connection is closed afterwards (what follows on it cannot be trusted). */
  readonly close?: boolean
}
