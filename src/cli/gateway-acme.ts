/** From the settings to what orders certificates: issuers, storage, and what the rest of the gateway is asked for. */
import { join } from 'node:path'
import { createFileStorage } from '../certificates/acme/file-storage.ts'
import type { DnsPublishing, Issuer } from '../certificates/acme/issuer.ts'
import { AcmeManager, type AcmeManagerOptions } from '../certificates/acme/manager.ts'
import { createLocalCopies } from '../certificates/acme/local-copies.ts'
import { createRedisStorage } from '../certificates/acme/redis-storage.ts'
import type { AcmeStorage } from '../certificates/acme/storage.ts'
import { createRedisClient } from '../limits/redis/client.ts'
import { systemTimers } from '../lib/timers.ts'
import type { Redacted } from '../lib/redacted.ts'
import type { Settings } from '../settings/load.ts'
import { parseHostPort } from '../settings/values.ts'
import { redisSettings } from './redis-settings.ts'

const DNS_PORT = 53

/** @returns Null: the settings name no issuer, and nothing is ever ordered. */
export function createAcme(
  settings: Settings,
  version: string,
  deps: Pick<AcmeManagerOptions, 'log' | 'answer' | 'onChange'>,
): AcmeManager | null {
  const { acme } = settings
  const issuers = new Map(Object.entries(acme.issuers).map(([name, issuer]) => [name, issuerOf(name, issuer)]))
  if (issuers.size === 0) return null
  return new AcmeManager({
    ...deps,
    issuers,
    storage: storageOf(settings, deps.log),
    timers: systemTimers(),
    now: Date.now,
    random: Math.random,
    lockMs: acme.lockExpiry,
    orderMs: acme.orderTimeout,
    untilIssued: acme.untilIssued,
    userAgent: `sluice/${version}`,
  })
}

function storageOf(settings: Settings, log: AcmeManagerOptions['log']): AcmeStorage {
  const folder = join(settings.state, 'acme')
  const redis = settings.acme.storage === 'files' ? null : redisSettings(settings)
  if (redis === null) return createFileStorage({ folder, now: Date.now })
  return createRedisStorage({
    connect: () => createRedisClient(redis),
    copies: createLocalCopies(join(folder, 'copies')),
    now: Date.now,
    log,
  })
}

type WrittenIssuer = Settings['acme']['issuers'][string]

function issuerOf(name: string, issuer: WrittenIssuer): Issuer {
  const { directory, email, keyType, preferredChain, caBundle, challenges, eab, limits } = issuer
  return {
    name,
    directory,
    email,
    keyType,
    preferredChain,
    caBundle,
    challenges,
    eab: eab.kid === null ? null : { kid: eab.kid, hmacKey: secretOf(eab.hmacKey, eab.hmacKeyFile) },
    dns: dnsOf(issuer),
    limits,
  }
}

function dnsOf({ dns }: WrittenIssuer): DnsPublishing | null {
  const times = { timeoutMs: dns.timeout, waitMs: dns.wait }
  if (dns.hook !== null) return { kind: 'hook', program: dns.hook, ...times }
  if (dns.server === null) return null
  const { host, port } = parseHostPort(dns.server, dns.server) ?? { host: dns.server, port: DNS_PORT }
  const tsig =
    dns.keyName === null
      ? null
      : { name: dns.keyName, algorithm: dns.keyAlgorithm, secret: secretOf(dns.key, dns.keyFile) }
  return { kind: 'rfc2136', host, port, zone: dns.zone, tsig, ...times }
}

/** One of the two is there: the settings were checked. */
function secretOf(secret: Redacted | null, file: string | null): Redacted | { readonly file: string } {
  return secret ?? { file: file ?? '' }
}
