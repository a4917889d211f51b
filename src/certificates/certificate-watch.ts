/**
 * Whether the certificates of a plan can be used, for whoever shows it. Workers look at one when they first need it;
 * this looks at all of them, a few at a time, and again when a file changes or validity passes.
 */
import type { ClientCertificatePlan, TrustPlan } from '../plan/cluster.ts'
import type { Plan } from '../plan/plan.ts'
import type { MaterialLease, MaterialStore } from './material-store.ts'
import type { Validity } from './pem.ts'

export interface CertificateProblem {
  /** As the plan, or a file's path, calls it. */
  readonly name: string
  /** In words. Holds no part of a key. */
  readonly problem: string
}

export interface CertificateWatchOptions {
  readonly materials: MaterialStore
  /** Runs the rest when everything else has had its turn. */
  readonly later: (run: () => void) => void
}

/** Read and checked in one go: a few milliseconds. */
const SLICE = 10

type Demand =
  | { readonly key: string; readonly keyPair: ClientCertificatePlan }
  | { readonly key: string; readonly trust: Exclude<TrustPlan, { readonly kind: 'none' }> }

export class CertificateWatch {
  readonly #options: CertificateWatchOptions
  readonly #leases = new Map<string, MaterialLease<Validity>>()
  #certificates: Plan['certificates'] = {}
  #waiting: Demand[] = []
  #running = false
  #closed = false

  constructor(options: CertificateWatchOptions) {
    this.#options = options
  }

  update(plan: Plan): void {
    const { materials } = this.#options
    const before = this.#certificates
    this.#certificates = plan.certificates
    // The compiler keeps the identity of what did not change.
    for (const [name, certificate] of Object.entries(plan.certificates)) {
      if (before[name] !== certificate) materials.setCertificate(name, certificate)
    }
    for (const name of Object.keys(before)) if (plan.certificates[name] === undefined) materials.deleteCertificate(name)
    const demands = demandsOf(plan)
    for (const [key, lease] of this.#leases) {
      if (demands.has(key)) continue
      lease.release()
      this.#leases.delete(key)
    }
    this.#waiting = [...demands.values()].filter(({ key }) => !this.#leases.has(key))
    this.#run()
  }

  problems(): CertificateProblem[] {
    return [...this.#leases.values()].flatMap(({ material: { name, problem } }) =>
      problem === '' ? [] : [{ name, problem }],
    )
  }

  close(): void {
    this.#closed = true
    for (const lease of this.#leases.values()) lease.release()
    this.#leases.clear()
  }

  #run(): void {
    if (this.#running || this.#waiting.length === 0) return
    this.#running = true
    this.#options.later(() => {
      this.#running = false
      if (this.#closed) return
      const { materials } = this.#options
      for (const demand of this.#waiting.splice(0, SLICE)) {
        const lease = 'trust' in demand ? materials.trust(demand.trust) : materials.keyPair(demand.keyPair)
        this.#leases.set(demand.key, lease)
      }
      this.#run()
    })
  }
}

function demandsOf({ certificates, listeners }: Plan): Map<string, Demand> {
  const demands = new Map<string, Demand>()
  for (const [name, certificate] of Object.entries(certificates)) {
    if ('caCertificates' in certificate) demands.set(name, { key: name, trust: { kind: 'certificate', name } })
    else demands.set(name, { key: name, keyPair: { kind: 'certificate', name } })
  }
  for (const listener of Object.values(listeners)) {
    if (listener.kind !== 'tls') continue
    for (const { clientCertificates } of listener.servers) {
      const trust = clientCertificates?.trust
      if (trust?.kind === 'file') demands.set(JSON.stringify(trust), { key: JSON.stringify(trust), trust })
    }
  }
  return demands
}
