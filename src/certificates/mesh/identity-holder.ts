/** The certificate in force until it expires, and who wants to know of changes. What all providers have in common. */
import type { Timers } from '../../lib/timers.ts'
import type { MeshCertificate, MeshIdentity } from '../mesh-identity.ts'

export interface Time {
  /** Milliseconds since 1970, for what certificates say. */
  readonly clock: () => number
  readonly timers: Timers
}

/** The longest wait in ms: a clock that was set, or a machine that slept, is noticed this much later at most. */
const LONGEST_WAIT_MS = 60_000

export class IdentityHolder implements Pick<MeshIdentity, 'current' | 'onChange'> {
  readonly #time: Time
  readonly #onExpiry: (expired: MeshCertificate) => void
  readonly #callbacks = new Set<() => void>()
  #certificate: MeshCertificate | null = null
  #cancel: (() => void) | undefined
  #closed = false

  /** @param onExpiry Called once for a certificate that expired before another took its place. */
  constructor(time: Time, onExpiry: (expired: MeshCertificate) => void = () => {}) {
    this.#time = time
    this.#onExpiry = onExpiry
  }

  current(): MeshCertificate | null {
    const certificate = this.#certificate
    return certificate !== null && certificate.notAfter > this.#time.clock() ? certificate : null
  }

  /** @param callback Must not throw. */
  onChange(callback: () => void): () => void {
    // A function given twice is two subscriptions.
    const own = () => {
      callback()
    }
    this.#callbacks.add(own)
    return () => this.#callbacks.delete(own)
  }

  /** @returns Whether that is a change. */
  set(certificate: MeshCertificate | null): boolean {
    if (this.#closed || same(this.#certificate, certificate)) return false
    this.#certificate = certificate
    this.#watch()
    for (const callback of this.#callbacks) callback()
    return true
  }

  /** What is in force stays readable; it does not change any more. */
  close(): void {
    this.#closed = true
    this.#cancel?.()
    this.#callbacks.clear()
  }

  #watch(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const certificate = this.#certificate
    if (certificate === null) return
    const left = certificate.notAfter - this.#time.clock()
    if (left <= 0) {
      this.#onExpiry(certificate)
      this.set(null)
      return
    }
    this.#cancel = this.#time.timers.after(Math.min(left, LONGEST_WAIT_MS), () => {
      this.#watch()
    })
  }
}

function same(a: MeshCertificate | null, b: MeshCertificate | null): boolean {
  if (a === null || b === null) return a === b
  return (
    a.certificateChain === b.certificateChain &&
    a.privateKey === b.privateKey &&
    a.rootCertificates === b.rootCertificates
  )
}
