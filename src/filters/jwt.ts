/**
 * RequestAuthentication: a request without a token passes, one whose token a rule finds good passes with its claims,
 * any other is refused. Requiring a token is what AuthorizationPolicy is for.
 *
 * Source: semantics §5.3; envoy: source/extensions/filters/http/jwt_authn/{filter,authenticator,verifier}.cc;
 * istio: pilot/pkg/security/authn/policy_applier.go (`convertToEnvoyJwtConfig`).
 */
import type { Exchange, VerifiedToken } from '../exchange/exchange.ts'
import { removeHeader } from '../exchange/headers.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { JwtProviderPlan } from '../plan/jwt.ts'
import { checkIssuer, checkTime, compileAudiences } from '../tokens/checks.ts'
import { failureText, type TokenFailure } from '../tokens/failure.ts'
import type { KeySet } from '../tokens/key-set.ts'
import type { Keys, KeyStore } from '../tokens/key-store.ts'
import { type ParsedToken, parseToken } from '../tokens/parse.ts'
import { type KnownToken, TokenCache } from '../tokens/token-cache.ts'
import type { Filter, FilterResult } from './filter.ts'
import { compileLocation, type TokenLocation } from './jwt-locations.ts'
import { outputHeaders, readOutputs, toVerified } from './jwt-outputs.ts'

export interface JwtDeps {
  /** Outlives the filter: keys are kept over changes of the rules. */
  readonly keys: KeyStore
}

/** Good tokens that are remembered; a few KiB each. */
const MAX_KNOWN_TOKENS = 1000

/** A token that one rule found good. */
interface Accepted {
  /** With other keys it has to prove itself again. */
  readonly keySet: KeySet
  readonly tokens: readonly [VerifiedToken]
  /** `[name, value, …]` */
  readonly outputs: readonly string[]
}

type Verdict = Accepted | TokenFailure

/** One rule, compiled. */
interface Provider {
  readonly index: number
  readonly plan: JwtProviderPlan
  readonly keys: Keys
  readonly locations: readonly TokenLocation[]
  readonly hasAudience: (token: Pick<ParsedToken, 'audiences'>) => boolean
}

/** @returns Null where there is no rule. In any case the keys of rules that are gone are given up. */
export function compileJwt(plan: readonly JwtProviderPlan[], { keys }: JwtDeps): Filter | null {
  const keysOf = keys.use(plan.map((provider) => provider.keys))
  if (plan.length === 0) return null
  const providers = plan.map((provider, index): Provider => ({
    index,
    plan: provider,
    keys: keysOf[index]!,
    locations: provider.locations.map(compileLocation),
    hasAudience: compileAudiences(provider.audiences),
  }))
  const forgeable = [...new Set(plan.flatMap(outputHeaders))]
  const cache = new TokenCache<Accepted>(MAX_KNOWN_TOKENS)
  return (exchange) => {
    // Before anything else, and for every request: an upstream believes these headers.
    for (const name of forgeable) removeHeader(exchange.headers, name)
    return isPreflight(exchange) ? undefined : tryProviders(new Attempt(exchange, cache), providers, 0, null)
  }
}

/** A browser's question before a request carries no token, whatever the request will. */
function isPreflight(exchange: Exchange): boolean {
  return (
    exchange.method === 'OPTIONS' && !!exchange.header('origin') && !!exchange.header('access-control-request-method')
  )
}

/** One request on its way through the rules. */
class Attempt {
  readonly exchange: Exchange
  readonly cache: TokenCache<Accepted>
  /** Rules tend to look in the same places: what was found out about the last token is kept for the next rule. */
  #text = ''
  #known: KnownToken<Accepted> | undefined
  #token: ParsedToken | TokenFailure = 'bad-format'

  constructor(exchange: Exchange, cache: TokenCache<Accepted>) {
    this.exchange = exchange
    this.cache = cache
  }

  /** @returns The token, and what rule `index` made of it when it was seen before. */
  read(text: string, index: number): { token: ParsedToken | TokenFailure; accepted: Accepted | undefined } {
    if (text !== this.#text || text === '') {
      this.#text = text
      this.#known = this.cache.find(text)
      this.#token = this.#known?.token ?? parseToken(text)
    }
    return { token: this.#token, accepted: this.#known?.verified.get(index) }
  }
}

/** The first rule that finds its token good decides; goes on in the same turn of the event loop while it can. */
function tryProviders(
  attempt: Attempt,
  providers: readonly Provider[],
  from: number,
  failed: TokenFailure | null,
): FilterResult | Promise<FilterResult> {
  const { exchange } = attempt
  let failure = failed
  for (let at = from; at < providers.length; at++) {
    const provider = providers[at]!
    const text = findToken(provider, exchange)
    if (text === undefined) continue
    const verdict = judge(provider, text, attempt)
    if (verdict instanceof Promise) {
      const before = failure
      return verdict.then((later) =>
        typeof later === 'string'
          ? tryProviders(attempt, providers, at + 1, worse(before, later))
          : accept(exchange, provider, later),
      )
    }
    if (typeof verdict !== 'string') return accept(exchange, provider, verdict)
    failure = worse(failure, verdict)
  }
  return failure === null ? undefined : refuse(exchange, failure)
}

/** What the rule that knows the issuer says tells more than that others do not know it. */
function worse(before: TokenFailure | null, now: TokenFailure): TokenFailure {
  return before === null || before === 'unknown-issuer' ? now : before
}

/**
 * The first token in the order of the rule's places. Envoy verifies all that it finds in one rule's places and goes by
 * this one too; the others are taken out with it.
 */
function findToken({ locations }: Provider, exchange: Exchange): string | undefined {
  for (const location of locations) {
    const text = location.find(exchange)
    if (text !== undefined) return text
  }
  return undefined
}

function judge(provider: Provider, text: string, attempt: Attempt): Verdict | Promise<Verdict> {
  const { token, accepted } = attempt.read(text, provider.index)
  if (typeof token === 'string') return token
  const failure = checkIssuer(token, provider.plan.issuer) ?? checkTime(token, attempt.exchange.startedAt)
  if (failure === 'expired') attempt.cache.delete(text)
  if (failure !== undefined) return failure
  if (accepted !== undefined && accepted.keySet === provider.keys.current()) return accepted
  if (!provider.hasAudience(token)) return 'audience'
  // A token that another rule accepted before has left these behind.
  return prove(provider, { ...token, text, payload: text.split('.', 2)[1]! }, attempt.cache)
}

/** Asks the keys, and newer ones where those at hand do not know the token's. */
function prove(provider: Provider, token: ParsedToken, cache: TokenCache<Accepted>): Verdict | Promise<Verdict> {
  const { keys, plan } = provider
  if (plan.keys.kind === 'none') return 'no-valid-keys'
  const keySet = keys.current()
  const newer = keySet === null || !keySet.fits(token) ? keys.newer() : null
  if (newer === null) return proveWith(keySet, provider, token, cache)
  return newer.then((found) => proveWith(found ?? keySet, provider, token, cache))
}

function proveWith(
  keySet: KeySet | null,
  { index, plan }: Provider,
  token: ParsedToken,
  cache: TokenCache<Accepted>,
): Verdict | Promise<Verdict> {
  if (keySet === null) return plan.keys.kind === 'inline' ? 'no-valid-keys' : 'keys-unavailable'
  return keySet.verify(token).then((failure) => {
    if (failure !== undefined) return failure
    const accepted: Accepted = { keySet, tokens: [toVerified(token, plan)], outputs: readOutputs(token, plan) }
    cache.add(token, index, accepted)
    return accepted
  })
}

function accept(exchange: Exchange, { plan, locations }: Provider, { tokens, outputs }: Accepted): undefined {
  exchange.tokens = tokens
  for (const item of outputs) exchange.headers.push(item)
  if (!plan.forwardOriginalToken) for (const location of locations) location.remove(exchange)
}

/** Envoy writes no more of a path into the header than this. */
const MAX_REALM_PATH = 256

function refuse(exchange: Exchange, failure: TokenFailure): LocalReply {
  const text = failureText(failure)
  const { scheme, authority, path } = exchange
  // A quote would end the realm, and what a client writes behind it would look like parameters of the gateway's.
  const realm = `${scheme}://${authority}${path.slice(0, MAX_REALM_PATH)}`.replaceAll(/["\\]/g, encodeURIComponent)
  return {
    status: failure === 'audience' ? 403 : 401,
    body: text,
    headers: ['www-authenticate', `Bearer realm="${realm}", error="invalid_token"`],
    details: `jwt_authn_access_denied{${text.replaceAll(' ', '_')}}`,
  }
}
