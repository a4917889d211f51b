/** `/certs`: the certificates that listeners and clusters present, or verify with. Never a key. */
import { X509Certificate } from 'node:crypto'
import type { CertificatePlan } from '../plan/listener.ts'
import type { Plan } from '../plan/plan.ts'
import type { AdminModel, OrderedCertificate } from './model.ts'

export interface CertificateView {
  /** Of the Secret or the file. */
  readonly name: string
  /** TLS servers and clusters that use it. */
  readonly usedBy: readonly string[]
  /** `Secret`, `ConfigMap`, `file`, `mesh`; `acme:ISSUER`: ordered by this gateway; `self-signed`: until that one issues. */
  readonly source: string
  /** Hosts that it is ordered for. */
  readonly hosts?: readonly string[]
  /** ISO 8601: when the next one is asked for; absent: that is not this gateway's business, or just happening. */
  readonly renewalAt?: string
  /** Why the last try to get a newer one failed. */
  readonly problem?: string
  readonly subject?: string
  readonly issuer?: string
  readonly subjectAltNames?: readonly string[]
  readonly serialNumber?: string
  /** ISO 8601. */
  readonly notBefore?: string
  readonly notAfter?: string
  /** Whole days until `notAfter`; below 0: it has expired. */
  readonly daysLeft?: number
  readonly fingerprint256?: string
  /** Certificates of the chain, this one included. */
  readonly chainLength?: number
  /** Why there is nothing to show. */
  readonly error?: string
  /** Why it cannot be used as it is; what was good before may be in use. */
  readonly unusable?: string
}

export interface CertificateDependencies {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Reads a certificate's file, for certificates that are paths in the plan. */
  readonly readFile: (path: string) => Promise<string>
}

const DAY_MS = 86_400_000
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

export async function certificateViews(model: AdminModel, deps: CertificateDependencies): Promise<CertificateView[]> {
  const plan = model.plan()
  if (plan === null) return []
  const orders = new Map(model.orderedCertificates().map((order) => [order.name, order]))
  const present = await Promise.all(
    Object.values(plan.certificates).map(async (certificate) => {
      const { name } = certificate
      const order = orders.get(name)
      orders.delete(name)
      const facts = { name, usedBy: usersOf(plan, name), source: sourceOf(certificate, order), ...orderFacts(order) }
      try {
        return { ...facts, ...describe(await chainOf(certificate, deps), deps.now()) }
      } catch (error) {
        return { ...facts, error: (error as Error).message }
      }
    }),
  )
  const missing = [...orders.values()].map((order) => ({
    name: order.name,
    usedBy: usersOf(plan, order.name),
    source: `acme:${order.issuer}`,
    ...orderFacts(order),
    error: order.lastError === null ? 'it has not been issued yet' : `it has not been issued yet: ${order.lastError}`,
  }))
  return [...present, ...missing]
}

function sourceOf(certificate: CertificatePlan, order: OrderedCertificate | undefined): string {
  if ('certificateFile' in certificate) return 'file'
  if (certificate.name.startsWith('ca:configmap:')) return 'ConfigMap'
  if (order === undefined) return 'Secret'
  return order.notAfter === null ? 'self-signed' : `acme:${order.issuer}`
}

function orderFacts(order: OrderedCertificate | undefined): Pick<CertificateView, 'hosts' | 'renewalAt' | 'problem'> {
  if (order === undefined) return {}
  const { hosts, nextAttemptAt, lastError } = order
  return {
    hosts,
    ...(nextAttemptAt === null ? {} : { renewalAt: new Date(nextAttemptAt).toISOString() }),
    ...(lastError === null ? {} : { problem: lastError }),
  }
}

/** With what is wrong with each, as far as it is known. */
export function withProblems<T extends CertificateView>(views: readonly T[], model: AdminModel): T[] {
  const problems = new Map(model.certificateProblems().map(({ name, problem }) => [name, problem]))
  return views.map((view) => {
    const problem = problems.get(view.name)
    return problem === undefined || view.error !== undefined ? view : { ...view, unusable: problem }
  })
}

function usersOf(plan: Plan, certificate: string): string[] {
  const servers = Object.values(plan.listeners)
    .flatMap((listener) => (listener.kind === 'tls' ? listener.servers : []))
    .filter(
      ({ certificates, clientCertificates }) =>
        certificates.includes(certificate) ||
        (clientCertificates?.trust.kind === 'certificate' && clientCertificates.trust.name === certificate),
    )
  const clusters = Object.values(plan.clusters).filter(({ transport }) => {
    if (transport.kind !== 'tls') return false
    const { trust, clientCertificate } = transport.tls
    return [trust, clientCertificate].some((from) => from?.kind === 'certificate' && from.name === certificate)
  })
  return [...servers, ...clusters].map(({ name }) => name)
}

async function chainOf(certificate: CertificatePlan, deps: CertificateDependencies): Promise<string> {
  if ('certificateFile' in certificate) return deps.readFile(certificate.certificateFile)
  return 'caCertificates' in certificate ? certificate.caCertificates : certificate.certificateChain
}

/** @param now Milliseconds since 1970. */
export function describe(chain: string, now: number): Omit<CertificateView, 'name' | 'usedBy' | 'source'> {
  // Only what is marked as a certificate is looked at: a file may hold the key too.
  const all = chain.match(PEM_CERTIFICATE) ?? []
  if (all[0] === undefined) return { error: 'there is no PEM certificate in it' }
  const leaf = new X509Certificate(all[0])
  const notAfter = new Date(leaf.validTo)
  return {
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    subjectAltNames: leaf.subjectAltName?.split(', ') ?? [],
    serialNumber: leaf.serialNumber,
    notBefore: new Date(leaf.validFrom).toISOString(),
    notAfter: notAfter.toISOString(),
    daysLeft: Math.floor((notAfter.getTime() - now) / DAY_MS),
    fingerprint256: leaf.fingerprint256,
    chainLength: all.length,
  }
}

/** node:crypto gives a name with one part a line; undefined where it is empty. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ')
}
