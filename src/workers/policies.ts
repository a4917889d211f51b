/**
 * What requests have to pass before they are routed, kept in step with the plan. Keys of token issuers outlive a change
 * of the policies.
 */
import type { Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { compileExtAuthz } from '../filters/ext-authz/ext-authz.ts'
import type { Filter, FilterResult } from '../filters/filter.ts'
import { compilePolicies } from '../filters/policies.ts'
import type { RateLimits, Stage } from '../filters/rate-limit/rate-limits.ts'
import { systemTimers } from '../lib/timers.ts'
import type { Logger } from '../observability/logger.ts'
import type { PoliciesPlan } from '../plan/policy.ts'
import type { RoutePlan } from '../plan/route.ts'
import { fetchText } from '../tokens/fetch-text.ts'
import { createFileKeySetCache } from '../tokens/key-set-cache.ts'
import { KeyStore } from '../tokens/key-store.ts'
import type { ClusterSet } from '../upstreams/cluster-set.ts'

export interface PoliciesSettings {
  /** Keys of an issuer that could not be fetched again for this long (ms) are no longer used. */
  readonly staleKeysMaxAgeMs: number
  /** Where key sets outlive a restart; null: they do not. */
  readonly keySetFolder: string | null
}

export interface PoliciesOptions {
  readonly settings: PoliciesSettings
  readonly clusters: ClusterSet
  readonly log: Logger
  /** Takes a request that has passed to its route. */
  readonly pass: (exchange: Exchange) => void
  readonly reply: (exchange: Exchange, reply: LocalReply) => void
  /** The route that would take a request as it is now. */
  readonly locate: (exchange: Exchange) => RoutePlan | null | Promise<RoutePlan | null>
  readonly rateLimits: RateLimits
}

/** Lines of audits and trials in the log, a worker. */
const MAX_EVENTS_A_SECOND = 20

export class Policies {
  readonly #options: PoliciesOptions
  readonly #keys: KeyStore
  /** Null: there is nothing to pass. */
  #filter: Filter | null = null
  #second = 0
  #told = 0

  constructor(options: PoliciesOptions) {
    this.#options = options
    const { settings, log } = options
    this.#keys = new KeyStore({
      timers: systemTimers(),
      now: Date.now,
      random: Math.random,
      fetchText,
      cache: settings.keySetFolder === null ? null : createFileKeySetCache(settings.keySetFolder),
      maxAgeMs: settings.staleKeysMaxAgeMs,
      log,
    })
  }

  /** From the next request on. */
  update(plan: PoliciesPlan): void {
    const { clusters, log } = this.#options
    this.#filter = compilePolicies(plan, {
      keys: this.#keys,
      compileExtAuthz: (provider) =>
        compileExtAuthz(provider, {
          clusters,
          reportExtAuthz: (name, reason) => {
            if (reason === '') log.info({ provider: name }, 'external authorizer answers again')
            else log.error({ provider: name, reason }, 'external authorizer cannot be asked')
          },
        }),
      onAuthorizationEvent: (exchange, { rule, ...event }) => {
        if (!this.#mayTell()) return
        const { path, host, clientAddress } = exchange
        log.info({ path, host, client: clientAddress, rule: rule?.id ?? null, ...event }, 'authorization')
      },
      checkRateLimits: (exchange, stage) => this.#checkRateLimits(exchange, stage),
      onPolicyError: (error, exchange) => {
        log.error({ err: error, path: exchange?.path }, 'a policy failed; what it guards is refused')
      },
    })
  }

  /** Refuses a request, or passes it on; at once where no policy has to wait. */
  serve(exchange: Exchange): void {
    const filter = this.#filter
    if (filter === null) {
      this.#options.pass(exchange)
      return
    }
    const result = filter(exchange)
    if (result === undefined || !('then' in result)) this.#conclude(exchange, result)
    // Policies answer for their failures themselves: the promise never rejects.
    else void result.then((reply) => this.#conclude(exchange, reply))
  }

  /** Limits belong to routes, and policies come before routing: so the route is looked up, and again afterwards. */
  #checkRateLimits(exchange: Exchange, stage: Stage): FilterResult | Promise<FilterResult> {
    const { rateLimits, locate } = this.#options
    if (rateLimits.isEmpty) return undefined
    const check = (route: RoutePlan | null) =>
      route?.rateLimits === undefined ? undefined : rateLimits.check(route.rateLimits, exchange, stage)
    const route = locate(exchange)
    return route instanceof Promise ? route.then(check) : check(route)
  }

  /** Clients decide how many events there are: of those beyond the bound nothing is told. */
  #mayTell(): boolean {
    const second = Math.floor(performance.now() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#told = 0
    }
    return this.#told++ < MAX_EVENTS_A_SECOND
  }

  #conclude(exchange: Exchange, reply: LocalReply | undefined): void {
    // The client may have left meanwhile.
    if (exchange.finished || exchange.res.destroyed || exchange.res.headersSent) return
    if (reply === undefined) this.#options.pass(exchange)
    else this.#options.reply(exchange, reply)
  }
}
