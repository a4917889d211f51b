/**
 * What is presented to peers and what they are verified against, wherever the plan says that it comes from: files,
 * entries of the plan, the system, the mesh. Equal demands share one entry, however many clusters have them.
 */
import { createHash } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { Timers } from '../lib/timers.ts'
import type { ClientCertificatePlan, TlsTransport, TrustPlan } from '../plan/cluster.ts'
import type { CertificatePlan } from '../plan/listener.ts'
import { ClientContextSource } from './client-context.ts'
import type { MeshCertificate, MeshIdentity } from './mesh-identity.ts'
import {
  type KeyPairMaterial,
  MaterialError,
  readKeyPair,
  readTrust,
  type TrustMaterial,
  type Validity,
} from './pem.ts'
import { RotatingMaterial } from './rotating-material.ts'
import { readSmallFile, WatchedFiles } from './watched-files.ts'

export interface MaterialStoreDeps {
  readonly timers: Timers
  /** The wall clock, ms since the epoch. */
  readonly now: () => number
  /** How often files and expiry are looked at, in ms. */
  readonly pollMs: number
  /** See {@link WatchedFiles}. */
  readonly settleMs: number
  /** Null: this gateway has no identity in a mesh. */
  readonly mesh: MeshIdentity | null
  /** PEM of the system's authorities, as `tls.getCACertificates('system')` gives them. */
  readonly systemRoots: () => readonly string[]
  /**
   * Told when something becomes unusable, or good again.
   *
   * @param problem In words; empty: it is good again. Never holds any part of a key.
   */
  readonly report: (material: string, problem: string) => void
}

/** Material that somebody uses. */
export interface MaterialLease<T extends Validity> {
  readonly material: RotatingMaterial<T>
  release(): void
}

type Stop = () => void

const NOTHING_TO_STOP: Stop = () => {}

interface Entry<T extends Validity> {
  readonly material: RotatingMaterial<T>
  readonly stop: Stop
  leases: number
}

type VerifyingTrust = Exclude<TrustPlan, { readonly kind: 'none' }>

export class MaterialStore {
  readonly #deps: MaterialStoreDeps
  readonly #files: WatchedFiles
  readonly #certificates = new Map<string, CertificatePlan>()
  /** By their plan. Bound: the plans that are leased. */
  readonly #trusts = new Map<string, Entry<TrustMaterial>>()
  readonly #keyPairs = new Map<string, Entry<KeyPairMaterial>>()
  /** Entries that come from the plan's certificates, by name. */
  readonly #dependents = new Map<string, Set<() => void>>()
  /** Contexts in use, by what they were made of: one with the system's authorities takes over a megabyte. */
  readonly #contexts = new Map<string, WeakRef<SecureContext>>()
  #generation = 0
  #cancelPoll: () => void
  #closed = false

  constructor(deps: MaterialStoreDeps) {
    this.#deps = deps
    this.#files = new WatchedFiles(deps.timers, deps.settleMs)
    this.#cancelPoll = deps.timers.after(deps.pollMs, () => void this.#poll())
  }

  /** Sets an entry of `Plan.certificates`. Handshakes from here on use it; connections that stand stay. */
  setCertificate(name: string, plan: CertificatePlan): void {
    this.#certificates.set(name, plan)
    for (const reload of this.#dependents.get(name) ?? []) reload()
  }

  deleteCertificate(name: string): void {
    this.#certificates.delete(name)
    for (const reload of this.#dependents.get(name) ?? []) reload()
  }

  /** What peers are verified against. */
  trust(plan: VerifyingTrust): MaterialLease<TrustMaterial> {
    return this.#lease(this.#trusts, plan, (material) => {
      switch (plan.kind) {
        case 'system':
          this.#read(material, () => readTrust(this.#deps.systemRoots().join('\n')))
          return NOTHING_TO_STOP
        case 'file':
          return this.#fromFiles(
            material,
            plan.crlPath === undefined ? [plan.path] : [plan.path, plan.crlPath],
            readTrust,
          )
        case 'mesh':
          return this.#fromMesh(material, ({ rootCertificates }) => [rootCertificates], readTrust)
        case 'certificate':
          return this.#fromPlan(material, plan.name, (certificate) => {
            this.#read(material, () => {
              if ('caCertificates' in certificate) return readTrust(certificate.caCertificates, certificate.crl)
              throw new MaterialError('it holds a key pair, and no authorities')
            })
            return NOTHING_TO_STOP
          })
        default:
          return plan satisfies never
      }
    })
  }

  /** What is presented to peers that ask for a certificate. */
  keyPair(plan: ClientCertificatePlan): MaterialLease<KeyPairMaterial> {
    return this.#lease(this.#keyPairs, plan, (material) => {
      switch (plan.kind) {
        case 'file':
          return this.#fromFiles(material, [plan.certificatePath, plan.keyPath], readPair)
        case 'mesh':
          return this.#fromMesh(
            material,
            ({ certificateChain, privateKey }) => [certificateChain, privateKey],
            readPair,
          )
        case 'certificate':
          return this.#fromPlan(material, plan.name, (certificate) => {
            if ('certificateFile' in certificate) {
              return this.#fromFiles(material, [certificate.certificateFile, certificate.privateKeyFile], readPair)
            }
            this.#read(material, () => {
              if ('privateKey' in certificate) return readKeyPair(certificate.certificateChain, certificate.privateKey)
              throw new MaterialError('it holds authorities, and no key pair')
            })
            return NOTHING_TO_STOP
          })
        default:
          return plan satisfies never
      }
    })
  }

  /** What a TLS client needs, kept in step with the material. To be closed by whoever asked for it. */
  clientContext(tls: Pick<TlsTransport, 'trust' | 'clientCertificate' | 'minVersion'>): ClientContextSource {
    return new ClientContextSource({
      trust: tls.trust.kind === 'none' ? null : this.trust(tls.trust),
      keyPair: tls.clientCertificate === null ? null : this.keyPair(tls.clientCertificate),
      minVersion: tls.minVersion,
      share: (key, create) => this.#share(key, create),
    })
  }

  close(): void {
    this.#closed = true
    this.#cancelPoll()
    for (const entry of [...this.#trusts.values(), ...this.#keyPairs.values()]) entry.stop()
    this.#trusts.clear()
    this.#keyPairs.clear()
  }

  #lease<T extends Validity>(
    entries: Map<string, Entry<T>>,
    plan: TrustPlan | ClientCertificatePlan,
    start: (material: RotatingMaterial<T>) => Stop,
  ): MaterialLease<T> {
    const key = JSON.stringify(plan)
    let found = entries.get(key)
    if (found === undefined) {
      const name = describe(plan)
      const material = new RotatingMaterial<T>(name, (problem) => this.#deps.report(name, problem))
      found = { material, stop: start(material), leases: 0 }
      entries.set(key, found)
    }
    const entry = found
    entry.leases++
    let released = false
    return {
      material: entry.material,
      release: () => {
        if (released) return
        released = true
        entry.leases--
        if (entry.leases > 0 || entries.get(key) !== entry) return
        entry.stop()
        entries.delete(key)
      },
    }
  }

  /** @param read Gives null where nothing has changed. */
  #read<T extends Validity>(material: RotatingMaterial<T>, read: () => T | null): void {
    const now = this.#deps.now()
    try {
      const value = read()
      if (value !== null) material.offer({ value, generation: ++this.#generation }, now)
    } catch (error) {
      if (!(error instanceof MaterialError)) throw error
      material.refuse(error.message, now)
    }
  }

  /**
   * @returns What reads texts into `material`. Those of the last time make no new generation: connections would be
   *   thrown away for nothing.
   */
  #reader<T extends Validity>(
    material: RotatingMaterial<T>,
    parse: (first: string, second: string | undefined) => T,
  ): (texts: () => readonly string[]) => void {
    let before = ''
    return (texts) => {
      this.#read(material, () => {
        const [first = '', second] = texts()
        const hash = createHash('sha256').update(`${first}\0${second}`).digest('base64')
        if (hash === before && material.problem === '') return null
        const value = parse(first, second)
        before = hash
        return value
      })
    }
  }

  #fromFiles<T extends Validity>(
    material: RotatingMaterial<T>,
    paths: readonly string[],
    parse: (first: string, second: string | undefined) => T,
  ): Stop {
    const read = this.#reader(material, parse)
    const load = () => {
      read(() => paths.map(readSmallFile))
    }
    const stop = this.#files.watch(paths, load)
    load()
    return stop
  }

  #fromMesh<T extends Validity>(
    material: RotatingMaterial<T>,
    texts: (mesh: MeshCertificate) => readonly string[],
    parse: (first: string, second: string | undefined) => T,
  ): Stop {
    const { mesh, now } = this.#deps
    if (mesh === null) {
      material.withdraw('this gateway has no identity in a mesh', now())
      return NOTHING_TO_STOP
    }
    const read = this.#reader(material, parse)
    const load = () => {
      const certificate = mesh.current()
      if (certificate === null) material.refuse('there is no workload certificate', now())
      else read(() => texts(certificate))
    }
    load()
    return mesh.onChange(load)
  }

  #fromPlan<T extends Validity>(
    material: RotatingMaterial<T>,
    name: string,
    start: (certificate: CertificatePlan) => Stop,
  ): Stop {
    let stop = NOTHING_TO_STOP
    const load = () => {
      stop()
      stop = NOTHING_TO_STOP
      const certificate = this.#certificates.get(name)
      if (certificate === undefined) material.withdraw('there is no such object', this.#deps.now())
      else stop = start(certificate)
    }
    const dependents = this.#dependents.get(name) ?? new Set()
    this.#dependents.set(name, dependents.add(load))
    load()
    return () => {
      stop()
      dependents.delete(load)
      if (dependents.size === 0) this.#dependents.delete(name)
    }
  }

  #share(key: string, create: () => SecureContext): SecureContext {
    const shared = this.#contexts.get(key)?.deref()
    if (shared !== undefined) return shared
    for (const [other, context] of this.#contexts) if (context.deref() === undefined) this.#contexts.delete(other)
    const context = create()
    this.#contexts.set(key, new WeakRef(context))
    return context
  }

  async #poll(): Promise<void> {
    await this.#files.poll()
    if (this.#closed) return
    const now = this.#deps.now()
    for (const { material } of this.#trusts.values()) material.refresh(now)
    for (const { material } of this.#keyPairs.values()) material.refresh(now)
    this.#cancelPoll = this.#deps.timers.after(this.#deps.pollMs, () => void this.#poll())
  }
}

function readPair(certificateChain: string, privateKey: string | undefined): KeyPairMaterial {
  return readKeyPair(certificateChain, privateKey ?? '')
}

/** What an operator would call it. */
function describe(plan: TrustPlan | ClientCertificatePlan): string {
  switch (plan.kind) {
    case 'file':
      return 'path' in plan ? plan.path : `${plan.certificatePath} with ${plan.keyPath}`
    case 'certificate':
      return plan.name
    case 'mesh':
      return 'mesh identity'
    default:
      return plan.kind
  }
}
