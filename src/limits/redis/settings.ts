/** How the Redis of the gateways is reached: plain data, as it goes to the workers. */

export interface HostPort {
  readonly host: string
  readonly port: number
}

export interface RedisSettings {
  /**
   * `cluster` and `sentinel`: any of their nodes, one that answers tells the others. `single`: one server, or a proxy
   * that stands for several.
   */
  readonly mode: 'single' | 'sentinel' | 'cluster'
  /** At least one: servers, or with `sentinel` the sentinels. */
  readonly nodes: readonly HostPort[]
  /** Name of the primary that sentinels watch. */
  readonly sentinelName: string
  /** Empty: none. */
  readonly username: string
  readonly password: string
  readonly sentinelUsername: string
  readonly sentinelPassword: string
  /** Number of the database; a cluster has only 0. */
  readonly database: number
  /** Null: plain text. */
  readonly tls: RedisTls | null
  /** Begins every key. */
  readonly keyPrefix: string
  /** Longest wait for an answer, in ms. */
  readonly timeoutMs: number
}

/** PEM texts. */
export interface RedisTls {
  /** Null: the well-known authorities. */
  readonly ca: string | null
  /** Client certificate and its key; null: none. */
  readonly cert: string | null
  readonly key: string | null
  /** Name that the server's certificate has to be for; null: the host that is connected to. */
  readonly serverName: string | null
}
