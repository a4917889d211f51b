/** How a try at an upstream can fail, in Envoy's terms (`Http::StreamResetReason`, `http/utility.cc`). */
export type FailureReason =
  /** The endpoint refused the connection, or it broke while being made; TLS failures too. */
  | 'remote-connection-failure'
  /** This side could not even try (no free port, no route, bad address). */
  | 'local-connection-failure'
  | 'connection-timeout'
  /** The upstream closed or reset the connection before (or in the middle of) its answer. */
  | 'connection-termination'
  /** The upstream reset the one stream (HTTP/2). */
  | 'remote-reset'
  /** It has not looked at the request: the stream was refused, or came after a GOAWAY. */
  | 'remote-refused-stream-reset'
  /** This side cannot send the request in the protocol of the connection. */
  | 'local-reset'
  /** What the upstream sent is no HTTP, or contradicts itself. */
  | 'protocol-error'
