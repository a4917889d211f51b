/** What policies add to a request: many of other hosts, many of its own route, a token seen before and a new one. */
import { compactVerify, generateKeyPair, exportJWK, SignJWT } from 'jose'
import type { Exchange } from '../../src/exchange/exchange.ts'
import { compileAuthorization } from '../../src/filters/authorization.ts'
import { compileJwt } from '../../src/filters/jwt.ts'
import type { AuthorizationPlan, AuthorizationRulePlan, ConditionPlan } from '../../src/plan/authorization.ts'
import type { JwtProviderPlan } from '../../src/plan/jwt.ts'
import { KeyStore } from '../../src/tokens/key-store.ts'
import { fetching } from '../../src/tokens/remote-keys.ts'
import { cpuMicros, median, nanosPerCall, printTable } from './measure.ts'
import { exchangeFor } from './request.ts'

const NOTHING: AuthorizationPlan = { custom: [], audit: [], deny: [], allow: null, dryRun: { deny: [], allow: null } }
const origin = { kind: 'AuthorizationPolicy', namespace: 'istio-system', name: 'bench' }

function request(): Exchange {
  const exchange = exchangeFor('/orders/7/items')
  exchange.authority = 'shop.test'
  exchange.host = 'shop.test'
  exchange.headers = ['accept', '*/*', 'user-agent', 'bench/1', 'x-team', 'blue', 'x-forwarded-for', '192.0.2.7']
  return exchange
}

const hosts = (...values: readonly string[]): ConditionPlan => ({
  kind: 'text',
  attribute: 'host',
  not: false,
  values: values.map((value) => ({ kind: 'exact', value })),
})

function rule(index: number, conditions: readonly ConditionPlan[]): AuthorizationRulePlan {
  return { id: `ns[istio-system]-policy[bench]-rule[${index}]`, origin, from: [], to: [conditions], when: [] }
}

const elsewhere = Array.from({ length: 1000 }, (_, i) => rule(i, [hosts(`shop-${i}.test`)]))
const own = Array.from({ length: 100 }, (_, i) =>
  rule(i, [
    hosts('shop.test'),
    { kind: 'text', attribute: 'method', not: false, values: [{ kind: 'exact', value: 'GET' }] },
    { kind: 'path', not: false, values: [{ kind: 'prefix', value: `/orders/${i + 100}` }] },
  ]),
)

const filters = {
  'no policy': null,
  '1,000 DENY rules of other hosts': compileAuthorization(
    { ...NOTHING, deny: elsewhere },
    { onAuthorizationEvent: null },
  ),
  '100 DENY rules of its own host, none matches': compileAuthorization(
    { ...NOTHING, deny: own },
    { onAuthorizationEvent: null },
  ),
}
const exchange = request()
const nanos = nanosPerCall(
  Object.fromEntries(Object.entries(filters).map(([name, filter]) => [name, () => filter?.(exchange)])),
)
printTable(
  ['AuthorizationPolicies', 'ns a request'],
  Object.entries(nanos).map(([name, each]) => [name, each]),
)

const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256' }] })
const provider: JwtProviderPlan = {
  origin: { ...origin, kind: 'RequestAuthentication' },
  issuer: 'bench',
  audiences: [],
  keys: { kind: 'inline', jwks },
  locations: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
  forwardOriginalToken: false,
  outputClaimToHeaders: [],
  spaceDelimitedClaims: ['scope', 'permission'],
}
const log = { info: () => {}, warn: () => {} }
const keys = new KeyStore(
  fetching({
    timers: { now: () => 0, after: () => () => {} },
    now: Date.now,
    random: Math.random,
    fetchText: () => Promise.reject(new Error('nothing is fetched')),
    cache: null,
    maxAgeMs: 0,
    log,
  }),
)
const jwt = compileJwt([provider], { keys })!
const sign = (id: number) =>
  new SignJWT({ jti: String(id), groups: ['a', 'b'] })
    .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
    .setIssuer('bench')
    .setSubject('alice')
    .setExpirationTime('1h')
    .sign(privateKey)

const seen = await sign(0)
/** Requests exist with the policy and without it, so they are nothing to measure: each is used again. */
const carriers = Array.from({ length: 200 }, () => Object.assign(request(), { startedAt: Date.now() }))
const plain = request().headers
const carrying = (token: string, carrier = carriers[0]!) => {
  carrier.headers = [...plain, 'authorization', `Bearer ${token}`]
  return carrier
}
await jwt(carrying(seen))
const perCall = nanosPerCall({
  'a request, without the policy': () => {
    carrying(seen)
  },
  'a request with a token seen before': () => jwt(carrying(seen)),
})
const rows: (string | number)[][] = Object.entries(perCall).map(([name, each]) => [name, each / 1000])

// New tokens, some at a time as under load: the filter beside jose's own check. By CPU time, as much of it is threads'.
const TOGETHER = 20
const ROUNDS = 15
const TOKENS = carriers.length
const times: Record<'filter' | 'jose', number[]> = { filter: [], jose: [] }
for (let round = 0; round < ROUNDS; round++) {
  const tokens = await Promise.all(Array.from({ length: TOKENS }, (_, i) => sign(1 + round * TOKENS + i)))
  const checks = [
    ['jose', (i: number) => compactVerify(tokens[i]!, publicKey, { algorithms: ['RS256'] })],
    ['filter', async (i: number) => jwt(carrying(tokens[i]!, carriers[i]))],
  ] as const
  for (const [name, check] of round % 2 === 0 ? checks : checks.toReversed()) {
    const began = cpuMicros()
    for (let i = 0; i < TOKENS; i += TOGETHER) {
      await Promise.all(Array.from({ length: TOGETHER }, async (_, k) => check(i + k)))
    }
    times[name].push((cpuMicros() - began) / TOKENS)
  }
}
const ratios = times.filter.map((each, i) => each / times.jose[i]!)
rows.push(
  ['a request with a new RS256 token, CPU', median(times.filter)],
  ["jose's compactVerify alone, CPU", median(times.jose)],
)
rows.push(['new token by compactVerify, ratio', median(ratios)])
printTable(['RequestAuthentication', 'µs'], rows)
