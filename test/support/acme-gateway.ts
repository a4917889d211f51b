/** A gateway in this process that orders its certificates, from YAML to handshakes; live.ts with an AcmeManager. */
import { join } from 'node:path'
import { connect as tlsConnect, type PeerCertificate } from 'node:tls'
import { createFileStorage } from '../../src/certificates/acme/file-storage.ts'
import type { Issuer } from '../../src/certificates/acme/issuer.ts'
import { AcmeManager, type AcmeManagerOptions } from '../../src/certificates/acme/manager.ts'
import type { AcmeStorage } from '../../src/certificates/acme/storage.ts'
import { systemTimers } from '../../src/lib/timers.ts'
import { type LiveGateway, startGateway } from './live.ts'
import type { Pebble } from './pebble.ts'

export interface AcmeGatewayOptions {
  readonly pebble: Pebble
  readonly yaml: string
  /** Folder of the storage, or the storage itself. */
  readonly storage: string | AcmeStorage
  readonly issuer?: Partial<Issuer>
  readonly manager?: Partial<AcmeManagerOptions>
}

export interface LoggedLine {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export interface AcmeGateway {
  readonly live: LiveGateway
  readonly manager: AcmeManager
  readonly log: readonly LoggedLine[]
  apply(yaml: string): Promise<void>
  /** The certificate that a client is shown for a name. Rejects where the handshake fails. */
  shown(host: string): Promise<PeerCertificate>
  stop(): Promise<void>
}

/** Far above what a test asks for. */
export const GENEROUS: Issuer['limits'] = {
  accountsPer3Hours: 100,
  ordersPer3Hours: 1000,
  sameHostsPerWeek: 1000,
  domainPerWeek: 1000,
  validationsPerHostPerHour: 1000,
}

export function testIssuer({ directory, caBundle }: Pebble, parts: Partial<Issuer> = {}): Issuer {
  return {
    name: 'test',
    directory,
    email: 'ops@example.com',
    keyType: 'ec-256',
    preferredChain: null,
    caBundle,
    challenges: ['http-01', 'tls-alpn-01', 'dns-01'],
    eab: null,
    dns: null,
    limits: GENEROUS,
    ...parts,
  }
}

export async function startAcmeGateway(options: AcmeGatewayOptions): Promise<AcmeGateway> {
  const { pebble, yaml, storage } = options
  const issuer = testIssuer(pebble, options.issuer)
  const log: LoggedLine[] = []
  const line = (level: LoggedLine['level']) => (fields: object, message: string) => {
    log.push({ level, message, fields: fields as Readonly<Record<string, unknown>> })
  }
  let changing: Promise<unknown> = Promise.resolve()
  const manager: AcmeManager = new AcmeManager({
    issuers: new Map([[issuer.name, issuer]]),
    storage:
      typeof storage === 'string' ? createFileStorage({ folder: join(storage, 'acme'), now: Date.now }) : storage,
    timers: systemTimers(),
    now: Date.now,
    random: Math.random,
    lockMs: 5000,
    orderMs: 60_000,
    untilIssued: 'refuse',
    userAgent: 'sluice/test',
    log: { info: line('info'), warn: line('warn'), error: line('error') },
    answer: (answers) => {
      live.plane.setChallenges(answers)
      return Promise.resolve()
    },
    onChange: () => {
      changing = changing.then(() => live.issue(manager.issued()))
    },
    ...options.manager,
  })
  const live = await startGateway(yaml, {
    compile: { acme: { issuers: { [issuer.name]: { wildcards: issuer.dns !== null } }, defaultIssuer: null } },
    settings: { ordersCertificates: true },
  })
  await manager.start()
  await live.issue(manager.issued())
  if (live.plan().listeners['80'] !== undefined) pebble.http.push(live.port(80))
  if (live.plan().listeners['443'] !== undefined) pebble.tls.push(live.port(443))
  manager.update(live.plan().acme ?? {})
  return {
    live,
    manager,
    log,
    async apply(text) {
      await live.apply(text)
      manager.update(live.plan().acme ?? {})
    },
    shown: (host) => shownBy(live.port(443), host),
    async stop() {
      await manager.close()
      await changing
      await live.stop()
    },
  }
}

/** @param maxVersion Default TLS 1.3. */
export function shownBy(port: number, host: string): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ port, host: '127.0.0.1', servername: host, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate())
      socket.end()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
  })
}

/** A Gateway with both ports, for these hosts and this credential. */
export function acmeGateway(hosts: readonly string[], parts: { credential?: string; name?: string } = {}): string {
  const { credential = 'shop-cert', name = 'shop' } = parts
  const list = JSON.stringify(hosts)
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: istio-system, annotations: { sluice.dev/acme-issuer: test } }
spec:
  servers:
  - { port: { number: 80, name: http-${name}, protocol: HTTP }, hosts: ${list}, tls: { httpsRedirect: true } }
  - { port: { number: 443, name: https-${name}, protocol: HTTPS }, hosts: ${list}, tls: { mode: SIMPLE, credentialName: ${credential} } }
---
`
}
