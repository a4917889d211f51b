/** One authority, asked with one account: acme-client's protocol over our own transport, with errors that say more. */
import { setTimeout as delay } from 'node:timers/promises'
import acme, { type Authorization, type Order } from 'acme-client'
import { AcmeProblem } from './problem.ts'
import { readRetryAfter, type Transport } from './transport.ts'

export type { Authorization, Order } from 'acme-client'

export interface DirectoryOptions {
  readonly directory: string
  /** PEM. */
  readonly accountKey: string
  /** Null: not known yet. */
  readonly accountUrl: string | null
  readonly eab: { readonly kid: string; readonly hmacKey: string } | null
  readonly transport: Transport
  /** Ends all waiting. */
  readonly signal: AbortSignal
}

/** How long to wait before an order or authorization is looked at again, in ms, where the authority does not say. */
const FIRST_POLL_MS = 100
const LAST_POLL_MS = 3000
const POLL_GROWTH = 1.5
/** An authority cannot make us wait longer than this between two looks, in ms. */
const LONGEST_POLL_MS = 30_000
/** Beyond this nonces are not merely unlucky. */
const MAX_BAD_NONCES = 10

/** The part of acme-client's HTTP client that is replaced; its types leave it out. */
interface ClientInternals {
  readonly http: {
    maxBadNonceRetries: number
    request: (url: string, method: string, options?: { headers?: object; data?: unknown }) => Promise<unknown>
    getDirectory(): Promise<Readonly<Record<string, unknown>>>
  }
}

export class AcmeDirectory {
  readonly #client: acme.Client
  readonly #internals: ClientInternals
  readonly #signal: AbortSignal
  /** `Retry-After` of the newest answer, in ms: whoever polls waits for one thing at a time. */
  #retryAfterMs: number | null = null

  constructor({ directory, accountKey, accountUrl, eab, transport, signal }: DirectoryOptions) {
    this.#signal = signal
    this.#client = new acme.Client({
      directoryUrl: directory,
      accountKey,
      ...(accountUrl === null ? {} : { accountUrl }),
      ...(eab === null ? {} : { externalAccountBinding: { ...eab } }),
    })
    this.#internals = this.#client as unknown as ClientInternals
    this.#internals.http.maxBadNonceRetries = MAX_BAD_NONCES
    this.#internals.http.request = async (url, method, options = {}) => {
      signal.throwIfAborted()
      const response = await transport.request(url, method, {
        headers: { 'content-type': 'application/jose+json' },
        ...(options.data === undefined ? {} : { data: options.data }),
      })
      this.#retryAfterMs = readRetryAfter(response.headers['retry-after'], Date.now())
      return response
    }
  }

  /** Of the account. @throws Error before {@link register} where none is known. */
  get accountUrl(): string {
    return this.#client.getAccountUrl()
  }

  /** A new account, or the one that the key has already. @returns Its URL. */
  async register(email: string | null): Promise<string> {
    await this.#client.createAccount({ termsOfServiceAgreed: true, ...contact(email) })
    return this.#client.getAccountUrl()
  }

  async updateContact(email: string | null): Promise<void> {
    await this.#client.updateAccount({ contact: [], ...contact(email) })
  }

  /** Whether the authority still knows the account, and has not shut it. */
  async isAccountGood(): Promise<boolean> {
    try {
      return (await this.#client.updateAccount({})).status === 'valid'
    } catch (error) {
      if (error instanceof AcmeProblem && (error.kind === 'account' || error.kind === 'refused')) return false
      throw error
    }
  }

  /** @param replaces See {@link renewalId}; null: it replaces none, or the authority does not want to know. */
  async createOrder(hosts: readonly string[], replaces: string | null): Promise<Order> {
    const identifiers = hosts.map((value) => ({ type: 'dns', value }))
    return this.#client.createOrder({ identifiers, ...(replaces === null ? {} : { replaces }) })
  }

  async order(url: string): Promise<Order> {
    return this.#client.getOrder({ url } as Order)
  }

  authorizations(order: Order): Promise<Authorization[]> {
    return this.#client.getAuthorizations(order)
  }

  /** What proves the control of a host; for DNS-01 what the record holds. */
  keyAuthorization(challenge: Authorization['challenges'][number]): Promise<string> {
    return this.#client.getChallengeKeyAuthorization(challenge)
  }

  /** Tells the authority to look. */
  async ready(challenge: Authorization['challenges'][number]): Promise<void> {
    await this.#client.completeChallenge(challenge)
  }

  /** Looks until the authority has made up its mind about a host. */
  async decided(authorization: Authorization): Promise<Authorization> {
    return this.#until(
      async () => (await this.#client.getAuthorizations({ authorizations: [authorization.url] } as Order))[0]!,
      ({ status }) => status !== 'pending',
    )
  }

  async finalize(order: Order, csr: string): Promise<Order> {
    await this.#client.finalizeOrder(order, csr)
    return this.finished(order)
  }

  /** Looks until the order is valid or invalid. */
  finished(order: Order): Promise<Order> {
    return this.#until(
      () => this.#client.getOrder(order),
      ({ status }) => status === 'valid' || status === 'invalid',
    )
  }

  /** The chain as PEM, leaf first. @param preferredChain Common name of an issuer in it; null: the first one. */
  certificate(order: Order, preferredChain: string | null): Promise<string> {
    return this.#client.getCertificate(order, preferredChain ?? undefined)
  }

  /** A URL of the directory; null: the authority has no such service. */
  async resource(name: string): Promise<string | null> {
    const url = (await this.#internals.http.getDirectory())[name]
    return typeof url === 'string' ? url : null
  }

  async #until<T>(look: () => Promise<T>, isDone: (state: T) => boolean): Promise<T> {
    let wait = FIRST_POLL_MS
    for (;;) {
      const state = await look()
      if (isDone(state)) return state
      await delay(Math.min(this.#retryAfterMs ?? wait, LONGEST_POLL_MS), undefined, { signal: this.#signal })
      wait = Math.min(wait * POLL_GROWTH, LAST_POLL_MS)
    }
  }
}

function contact(email: string | null): { contact?: string[] } {
  return email === null ? {} : { contact: [`mailto:${email}`] }
}
