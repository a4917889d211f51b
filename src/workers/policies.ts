/**
 * What requests have to pass before they are routed, kept in step with the plan. Keys of token issuers outlive a change
 * of the policies.
 */
import type { Epoch, Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { compileExtAuthz } from '../filters/ext-authz/ext-authz.ts'
import { GrpcChannels } from '../filters/ext-authz/grpc-channel.ts'
import type { Filter, FilterResult } from '../filters/filter.ts'
import {
  type CompiledPolicies,
  compileConnectionPolicies,
  compilePolicies,
  type PoliciesDeps,
} from '../filters/policies.ts'
import { provePolicies } from '../filters/proof.ts'
import type { RateLimits, Stage } from '../filters/rate-limit/rate-limits.ts'
import { hostWithoutPort } from '../listeners/admission.ts'
import { systemTimers } from '../lib/timers.ts'
import type { Logger } from '../observability/logger.ts'
import type { PoliciesPlan } from '../plan/policy.ts'
import type { PolicyProof } from '../plan/proof.ts'
import type { RoutePlan } from '../plan/route.ts'
import { fetchText } from '../tokens/fetch-text.ts'
import { type CachedKeySet, createFileKeySetCache } from '../tokens/key-set-cache.ts'
import { KeyStore, type RemoteKeysPlan } from '../tokens/key-store.ts'
import { fetching, type RemoteKeysDeps } from '../tokens/remote-keys.ts'
import { SharedKeyStore } from '../tokens/shared-keys.ts'
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
  /** Asks whoever fetches keys for newer ones; null: this process fetches them itself. */
  readonly askForKeys: ((source: string) => void) | null
}

/** What fetching key sets takes. */
export function keyDeps({ staleKeysMaxAgeMs: maxAgeMs, keySetFolder }: PoliciesSettings, log: Logger): RemoteKeysDeps {
  const cache = keySetFolder === null ? null : createFileKeySetCache(keySetFolder)
  return { timers: systemTimers(), now: Date.now, random: Math.random, fetchText, cache, maxAgeMs, log }
}

/** Lines of audits and trials in the log, a worker. */
const MAX_EVENTS_A_SECOND = 20

export class Policies {
  readonly #options: PoliciesOptions
  readonly #keys: KeyStore
  /** Null: this process fetches keys for itself. */
  readonly #sharedKeys: SharedKeyStore | null
  /** Connections to gRPC authorizers, which a change of policies does not concern. */
  readonly #grpcChannels = new GrpcChannels()
  #plan: PoliciesPlan | null = null
  /** Filters are null where there is nothing to pass. */
  #compiled: CompiledPolicies = { filter: null, ownFilter: null }
  /** For requests of the forward proxy; made when the first one comes. */
  #proxyFilter: Filter | null = null
  /** A made-up request, about which nothing is told. */
  #madeUp: Exchange | null = null
  #connectionFilter: ReturnType<typeof compileConnectionPolicies> = null
  readonly #dryRun: Record<string, number> = {}
  #second = 0
  #told = 0

  constructor(options: PoliciesOptions) {
    this.#options = options
    const { settings, log } = options
    const { askForKeys: ask } = options
    const maxAgeMs = settings.staleKeysMaxAgeMs
    this.#sharedKeys =
      ask === null ? null : new SharedKeyStore({ timers: systemTimers(), now: Date.now, maxAgeMs, ask })
    const shared = this.#sharedKeys
    const create = shared === null ? fetching(keyDeps(settings, log)) : (plan: RemoteKeysPlan) => shared.create(plan)
    this.#keys = new KeyStore(create)
  }

  /** From the next request on. */
  update(plan: PoliciesPlan): void {
    const deps = this.#deps()
    this.#compiled = compilePolicies(plan, deps)
    this.#connectionFilter = compileConnectionPolicies(plan, deps)
    this.#proxyFilter = null
    this.#plan = plan
  }

  /** What was fetched elsewhere; null: there is nothing newer. */
  takeKeySet(source: string, keySet: CachedKeySet | null): void {
    this.#sharedKeys?.take(source, keySet)
  }

  /** What policies on trial would have done, by `ACTION RESULT`. */
  get dryRun(): Readonly<Record<string, number>> {
    return this.#dryRun
  }

  /** Whether some policy looks for tokens. */
  get asksForTokens(): boolean {
    return (this.#plan?.jwt.length ?? 0) > 0
  }

  #deps(): PoliciesDeps {
    const { clusters, log } = this.#options
    return {
      keys: this.#keys,
      compileExtAuthz: (provider) =>
        compileExtAuthz(provider, {
          clusters,
          grpcChannels: this.#grpcChannels,
          reportExtAuthz: (name, reason) => {
            if (reason === '') log.info({ provider: name }, 'external authorizer answers again')
            else log.error({ provider: name, reason }, 'external authorizer cannot be asked')
          },
        }),
      onAuthorizationEvent: (exchange, { rule, ...event }) => {
        if (exchange === this.#madeUp) return
        if (event.kind === 'shadow') {
          const name = `${event.action.toLowerCase()} ${event.result}`
          this.#dryRun[name] = (this.#dryRun[name] ?? 0) + 1
        }
        if (!this.#mayTell()) return
        const { path, host, clientAddress } = exchange
        log.info({ path, host, client: clientAddress, rule: rule?.id ?? null, ...event }, 'authorization')
      },
      checkRateLimits: (exchange, stage) => this.#checkRateLimits(exchange, stage),
      onPolicyError: (error, exchange) => {
        log.error({ err: error, path: exchange?.path }, 'a policy failed; what it guards is refused')
      },
    }
  }

  /** Why a connection of which no request is read is refused; undefined: it may pass. */
  refusalOf(exchange: Exchange): LocalReply | undefined {
    return this.#connectionFilter?.(exchange)
  }

  /** Whether the policies refuse what they have to; nothing is there to prove before the first plan. */
  async prove(epoch: Epoch): Promise<readonly PolicyProof[]> {
    if (this.#plan === null) return []
    return provePolicies(this.#plan, {
      filter: this.#compiled.ownFilter,
      epoch,
      hostOf: hostWithoutPort,
      onTry: (exchange) => {
        this.#madeUp = exchange
      },
    })
  }

  /** Refuses a request, or passes it on; at once where no policy has to wait. */
  serve(exchange: Exchange): void {
    const { pass, reply } = this.#options
    const { filter } = this.#compiled
    if (filter === null) pass(exchange)
    else run(filter, exchange, pass, (refusal) => reply(exchange, refusal))
  }

  /**
   * The same for a request of the forward proxy, whose tokens are credentials for the proxy: a request's own
   * `authorization` is its upstream's business.
   */
  serveProxied(exchange: Exchange, pass: () => void, refuse: (reply: LocalReply) => void): void {
    const plan = this.#plan
    if (plan === null || this.#compiled.filter === null) {
      pass()
      return
    }
    const filter = (this.#proxyFilter ??= compilePolicies(forProxy(plan), this.#deps()).filter)
    if (filter === null) pass()
    else run(filter, exchange, pass, refuse)
  }

  /** Fetches nothing more. */
  close(): void {
    this.#keys.close()
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
}

function run(
  filter: Filter,
  exchange: Exchange,
  pass: (exchange: Exchange) => void,
  refuse: (reply: LocalReply) => void,
): void {
  const conclude = (reply: LocalReply | undefined) => {
    // The client may have left meanwhile.
    if (exchange.finished || exchange.res.destroyed || exchange.res.headersSent) return
    if (reply === undefined) pass(exchange)
    else refuse(reply)
  }
  const result = filter(exchange)
  if (result === undefined || !('then' in result)) conclude(result)
  // Policies answer for their failures themselves: the promise never rejects.
  else void result.then(conclude)
}

/** Tokens of the forward proxy are in one place, and nothing that they say is told to strangers. */
function forProxy(plan: PoliciesPlan): PoliciesPlan {
  return {
    ...plan,
    jwt: plan.jwt.map(({ outputPayloadToHeader: _payload, ...rule }) => ({
      ...rule,
      locations: [{ kind: 'header', name: 'proxy-authorization', prefix: 'Bearer ' }],
      forwardOriginalToken: true,
      outputClaimToHeaders: [],
    })),
  }
}
