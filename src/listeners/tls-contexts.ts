/**
 * Certificates of a TLS listener by SNI. Replaced as a whole when a certificate or a server changes: the next
 * handshake sees the new ones, connections that stand are not touched.
 */
import { createSecureContext, type SecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls'
import type { CertificatePlan, TlsServerPlan } from '../plan/listener.ts'
import type { TerminationOptions } from './tls-terminator.ts'

interface ServerEntry {
  readonly plan: TlsServerPlan
  /** Null: none of its certificates is there or can be used. */
  readonly options: SecureContextOptions | null
  readonly context: SecureContext | null
}

/** PEM of a certificate, read where it is a file. */
export interface CertificateMaterial {
  readonly certificateChain: string
  readonly privateKey: string
}

export type ReadCertificate = (plan: CertificatePlan) => CertificateMaterial

export type ReportBadCertificate = (server: string, certificate: string, reason: string) => void

export class TlsContexts {
  #exact = new Map<string, ServerEntry>()
  /** Longest suffix first. */
  #wildcards: { readonly suffix: string; readonly entry: ServerEntry }[] = []
  #any: ServerEntry | null = null

  update(
    servers: readonly TlsServerPlan[],
    certificates: (name: string) => CertificatePlan | undefined,
    read: ReadCertificate,
    report: ReportBadCertificate,
  ): void {
    this.#exact = new Map()
    this.#wildcards = []
    this.#any = null
    for (const plan of servers) {
      const entry = serverEntry(plan, contextOptions(plan, certificates, read, report), report)
      for (const name of plan.serverNames) {
        if (name === '*') this.#any ??= entry
        else if (name.startsWith('*.')) this.#wildcards.push({ suffix: name.slice(1), entry })
        else if (!this.#exact.has(name)) this.#exact.set(name, entry)
      }
    }
    this.#wildcards.sort((a, b) => b.suffix.length - a.suffix.length)
  }

  options(): TerminationOptions {
    return {
      server: {
        ALPNProtocols: ['http/1.1'],
        // The lowest that any server may ask for; a server's own limits are in its context.
        minVersion: 'TLSv1.2',
        handshakeTimeout: 15_000,
        SNICallback: (name, callback) => {
          // An exception here would end the process (CVE-2026-21637).
          const context = this.#find(name)?.context ?? null
          if (context === null) callback(new Error('no server for this name'))
          else callback(null, context)
        },
      },
      routeTableOf: (socket: TLSSocket) => {
        const name = (socket as TLSSocket & { servername?: string | false | null }).servername
        return this.#find(typeof name === 'string' ? name : '')?.plan.routeTable ?? ''
      },
    }
  }

  /** For clients that send no SNI: only a server for `*` takes those; null: nobody does. */
  get fallback(): SecureContextOptions | null {
    return this.#any?.options ?? null
  }

  #find(serverName: string): ServerEntry | null {
    const name = serverName.toLowerCase()
    const exact = this.#exact.get(name)
    if (exact !== undefined) return exact
    const wildcard = this.#wildcards.find(({ suffix }) => name.length > suffix.length && name.endsWith(suffix))
    return wildcard?.entry ?? this.#any
  }
}

/** What OpenSSL refuses (cipher suites that it has none of, for example) closes this server and no other. */
function serverEntry(
  plan: TlsServerPlan,
  options: SecureContextOptions | null,
  report: ReportBadCertificate,
): ServerEntry {
  if (options === null) return { plan, options, context: null }
  try {
    return { plan, options, context: createSecureContext(options) }
  } catch (error) {
    report(plan.name, plan.certificates.join(), (error as Error).message)
    return { plan, options: null, context: null }
  }
}

function contextOptions(
  plan: TlsServerPlan,
  certificates: (name: string) => CertificatePlan | undefined,
  read: ReadCertificate,
  report: ReportBadCertificate,
): SecureContextOptions | null {
  const usable: CertificateMaterial[] = []
  for (const name of plan.certificates) {
    const certificate = certificates(name)
    if (certificate === undefined) {
      report(plan.name, name, 'there is no such Secret or file')
      continue
    }
    try {
      const material = read(certificate)
      createSecureContext({ cert: material.certificateChain, key: material.privateKey })
      usable.push(material)
    } catch (error) {
      report(plan.name, name, (error as Error).message)
    }
  }
  if (usable.length === 0) return null
  return {
    cert: usable.map((material) => material.certificateChain),
    key: usable.map((material) => material.privateKey),
    minVersion: plan.minVersion,
    maxVersion: plan.maxVersion,
    ...(plan.cipherSuites === undefined ? {} : { ciphers: plan.cipherSuites }),
  }
}
