/** From the settings as they are written to what a client of Redis needs. */
import { readFileSync } from 'node:fs'
import type { HostPort, RedisSettings, RedisTls } from '../limits/redis/settings.ts'
import type { Settings } from '../settings/load.ts'
import { hasRedis } from '../settings/redis.ts'
import { CommandFailure } from './exit.ts'

const DEFAULT_PORT = 6379

/** @returns Null where none is set. @throws CommandFailure where it cannot be used as it is written. */
export function redisSettings({ redis }: Pick<Settings, 'redis'>): RedisSettings | null {
  if (!hasRedis(redis)) return null
  const url = redis.url === null ? null : new URL(redis.url.reveal())
  if (redis.cluster && redis.sentinels.length > 0) {
    throw new CommandFailure('redis.cluster and redis.sentinels exclude each other')
  }
  const own: HostPort[] = url === null ? [] : [{ host: hostOf(url), port: Number(url.port || DEFAULT_PORT) }]
  const mode = redis.sentinels.length > 0 ? 'sentinel' : redis.cluster ? 'cluster' : 'single'
  const nodes = { single: own, cluster: [...own, ...redis.nodes], sentinel: redis.sentinels }[mode]
  return {
    mode,
    nodes,
    sentinelName: redis.sentinelName,
    username: decodeURIComponent(url?.username ?? '') || redis.username,
    password: decodeURIComponent(url?.password ?? '') || redis.password.reveal(),
    sentinelUsername: redis.sentinelUsername,
    sentinelPassword: redis.sentinelPassword.reveal(),
    database: databaseOf(url),
    tls: url?.protocol === 'rediss:' ? readTls(redis) : null,
    keyPrefix: redis.keyPrefix,
    timeoutMs: redis.timeout,
  }
}

function hostOf({ hostname }: URL): string {
  if (hostname === '') return '127.0.0.1'
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
}

function databaseOf(url: URL | null): number {
  const text = url?.pathname.slice(1) ?? ''
  if (text === '') return 0
  if (!/^\d{1,5}$/.test(text)) throw new CommandFailure(`redis.url: "${text}" is not the number of a database`)
  return Number(text)
}

function readTls(redis: Settings['redis']): RedisTls {
  const { caFile, certificateFile, privateKeyFile, serverName } = redis
  return {
    ca: caFile === null ? null : readPem('caFile', caFile),
    cert: certificateFile === null ? null : readPem('certificateFile', certificateFile),
    key: privateKeyFile === null ? null : readPem('privateKeyFile', privateKeyFile),
    serverName,
  }
}

function readPem(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new CommandFailure(`redis.${setting}: ${(error as Error).message}`)
  }
}
