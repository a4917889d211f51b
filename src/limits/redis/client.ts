/**
 * Connections to Redis by ioredis, set up so that nothing waits for a Redis that does not answer: no command is queued
 * while there is no connection, none is sent again by itself (it may have been counted), and connecting is tried again
 * without end, at most half a second apart.
 */
import { Cluster, Redis } from 'ioredis'
import type { RedisSettings } from './settings.ts'

export type RedisClient = Redis | Cluster

const FIRST_RETRY_MS = 20
const LONGEST_RETRY_MS = 500
const CONNECT_TIMEOUT_MS = 1000

/** A client that does not connect until it is told to. The caller listens to its `error` events. */
export function createRedisClient(settings: RedisSettings): RedisClient {
  const { mode, nodes } = settings
  const common = commonOptions(settings)
  if (mode === 'cluster') {
    return new Cluster([...nodes], {
      redisOptions: common,
      lazyConnect: true,
      enableOfflineQueue: false,
      enableReadyCheck: true,
      enableAutoPipelining: true,
      clusterRetryStrategy: retryDelay,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      // A node that is asked for a slot which it no longer has names the right one: once or twice, not for ever.
      maxRedirections: 3,
      retryDelayOnFailover: FIRST_RETRY_MS,
      retryDelayOnClusterDown: FIRST_RETRY_MS,
      retryDelayOnTryAgain: FIRST_RETRY_MS,
    })
  }
  const options = { ...common, db: settings.database, lazyConnect: true, enableAutoPipelining: true }
  if (mode === 'sentinel') {
    return new Redis({
      ...options,
      sentinels: [...nodes],
      name: settings.sentinelName,
      ...(settings.sentinelUsername === '' ? {} : { sentinelUsername: settings.sentinelUsername }),
      ...(settings.sentinelPassword === '' ? {} : { sentinelPassword: settings.sentinelPassword }),
      sentinelRetryStrategy: retryDelay,
      sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
      // A failover is learnt from the sentinels' own messages, not from the first command that fails.
      failoverDetector: true,
      sentinelReconnectStrategy: retryDelay,
      ...(settings.tls === null ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(settings.tls) }),
    })
  }
  return new Redis({ ...options, ...nodes[0]! })
}

function commonOptions({ username, password, tls }: RedisSettings) {
  return {
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(tls === null ? {} : { tls: tlsOptions(tls) }),
    connectTimeout: CONNECT_TIMEOUT_MS,
    enableOfflineQueue: false,
    // The store asks for itself whether Redis can be used; the built-in check waits a second and more while it loads.
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: retryDelay,
    connectionName: 'sluice',
  }
}

function tlsOptions({ ca, cert, key, serverName }: NonNullable<RedisSettings['tls']>) {
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    ...(serverName === null ? {} : { servername: serverName }),
    rejectUnauthorized: true,
  }
}

function retryDelay(attempt: number): number {
  return Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt - 1, 10))
}
