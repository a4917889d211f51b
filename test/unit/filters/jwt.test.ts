import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { Exchange } from '../../../src/exchange/exchange.ts'
import { compileJwt } from '../../../src/filters/jwt.ts'
import type { Filter, FilterResult } from '../../../src/filters/filter.ts'
import type { JwtProviderPlan } from '../../../src/plan/jwt.ts'
import { KeyStore } from '../../../src/tokens/key-store.ts'
import { COOLDOWN_MS, fetching } from '../../../src/tokens/remote-keys.ts'
import { manualTime } from '../certificates/mesh/manual-time.ts'
import { makeExchange, type RequestFacts } from '../routing/exchanges.ts'
import { confused, encode, keySetText, sign, type TestKey, testKey, unsigned } from '../tokens/make-token.ts'

const NOW = 1_700_000_000_000
const NOW_S = NOW / 1000
const ISSUER = 'issuer@test'
const CLAIMS = { iss: ISSUER, sub: 'alice' }

let key: TestKey
let other: TestKey
let inline: JwtProviderPlan['keys']

before(async () => {
  key = await testKey('ES256', 'one')
  other = await testKey('ES256', 'two')
  inline = { kind: 'inline', jwks: keySetText(key) }
})

function provider(more: Partial<JwtProviderPlan> = {}): JwtProviderPlan {
  return {
    origin: { kind: 'RequestAuthentication', namespace: 'istio-system', name: 'test', pointer: '/spec/jwtRules/0' },
    issuer: ISSUER,
    audiences: [],
    keys: inline,
    locations: [
      { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
      { kind: 'param', name: 'access_token' },
    ],
    forwardOriginalToken: false,
    outputClaimToHeaders: [],
    spaceDelimitedClaims: ['scope', 'permission'],
    ...more,
  }
}

/** Keys that come from `fetched`, by address; the store of a test whose rules have theirs inline is never asked. */
function keyStore(fetched: (url: string) => Promise<string> = () => Promise.reject(new Error('away'))) {
  const time = manualTime(NOW)
  const keys = new KeyStore(
    fetching({
      timers: time.timers,
      now: () => time.clock(),
      random: () => 0,
      fetchText: fetched,
      cache: null,
      maxAgeMs: 86_400_000,
      log: { info: () => {}, warn: () => {} },
    }),
  )
  return { time, keys }
}

function filterOf(...plan: readonly JwtProviderPlan[]): Filter {
  return compileJwt(plan, keyStore())!
}

function request(facts: RequestFacts = {}, atMs = NOW): Exchange {
  return Object.assign(makeExchange({ authority: 'app.test', ...facts }), { startedAt: atMs })
}

const bearer = (token: string) => ['authorization', `Bearer ${token}`]
const tokenOf = (claims: object = {}, header: Readonly<Record<string, unknown>> = {}) =>
  sign(key, { ...CLAIMS, ...claims }, header)

async function answer(filter: Filter, exchange: Exchange): Promise<FilterResult> {
  return filter(exchange)
}

test('compileJwt: without rules there is no filter', () => assert.equal(compileJwt([], keyStore()), null))

test('jwt: a request without a token passes, in the same turn', () => {
  const exchange = request({ headers: ['authorization', 'Basic dXNlcjpwYXNz'] })
  assert.equal(filterOf(provider())(exchange), undefined)
  assert.deepEqual(exchange.tokens, [])
  assert.deepEqual(exchange.headers, ['authorization', 'Basic dXNlcjpwYXNz'])
})

test('jwt: a good token is the identity of its request and is taken out of it', async () => {
  const exchange = request({ headers: ['x', '1', ...bearer(await tokenOf({ aud: 'web', azp: 'app', role: 'admin' }))] })
  assert.equal(await answer(filterOf(provider()), exchange), undefined)
  assert.deepEqual(exchange.tokens, [
    {
      issuer: ISSUER,
      subject: 'alice',
      audiences: ['web'],
      presenter: 'app',
      claims: { ...CLAIMS, aud: 'web', azp: 'app', role: 'admin' },
    },
  ])
  assert.deepEqual(exchange.headers, ['x', '1'])
})

test('jwt: forwardOriginalToken leaves the request as it is', async () => {
  const headers = bearer(await tokenOf())
  const exchange = request({ headers })
  assert.equal(await answer(filterOf(provider({ forwardOriginalToken: true })), exchange), undefined)
  assert.deepEqual(exchange.headers, headers)
})

test('jwt: a token that was good before passes in the same turn, until it expires', async () => {
  const filter = filterOf(provider())
  const token = await tokenOf({ exp: NOW_S + 10 })
  const first = filter(request({ headers: bearer(token) }))
  assert.ok(first instanceof Promise)
  assert.equal(await first, undefined)
  const exchange = request({ headers: bearer(token) })
  assert.equal(filter(exchange), undefined)
  assert.equal(exchange.tokens[0]?.subject, 'alice')
  assert.equal(filter(request({ headers: bearer(token) }, NOW + 70_999)), undefined)
  const late = filter(request({ headers: bearer(token) }, NOW + 71_000))
  assert.equal((late as { body?: string }).body, 'Jwt is expired')
})

interface Refusal {
  readonly token: () => string | Promise<string>
  readonly plan?: Partial<JwtProviderPlan>
  readonly text: string
  readonly status?: number
}

const refusals: Record<string, Refusal> = {
  'is none': {
    token: () => 'abc',
    text: 'Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections',
  },
  'has no signature': {
    token: () => unsigned({ alg: 'none' }, CLAIMS, 'AA'),
    text: 'Jwt header [alg] is not supported',
  },
  'is signed with the public key as a secret': { token: () => confused(key, CLAIMS), text: 'Jwt verification fails' },
  'is signed by somebody else': {
    token: () => sign(other, CLAIMS, { kid: 'one' }),
    text: 'Jwt verification fails',
  },
  'is signed with a key that is not known': {
    token: () => sign(other, CLAIMS),
    text: "Jwks doesn't have key to match kid or alg from Jwt",
  },
  'comes from another issuer': { token: () => tokenOf({ iss: 'else' }), text: 'Jwt issuer is not configured' },
  'names no issuer': { token: () => sign(key, {}), text: 'Jwt issuer is not configured' },
  'has expired': { token: () => tokenOf({ exp: NOW_S - 61 }), text: 'Jwt is expired' },
  'is not yet good': { token: () => tokenOf({ nbf: NOW_S + 61 }), text: 'Jwt not yet valid' },
  'is for another audience': {
    token: () => tokenOf({ aud: ['desktop'] }),
    plan: { audiences: ['web'] },
    text: 'Audiences in Jwt are not allowed',
    status: 403,
  },
  'cannot be verified, as there are no keys': {
    token: () => tokenOf(),
    plan: { keys: { kind: 'none' } },
    text: "Jwks doesn't have any valid public key",
  },
  'cannot be verified, as keys cannot be fetched': {
    token: () => tokenOf(),
    plan: { keys: { kind: 'uri', uri: 'https://a.test/', timeoutMs: 1000 } },
    text: 'Jwks remote fetch is failed',
  },
  'cannot be verified, as the keys that are given are none': {
    token: () => tokenOf(),
    plan: { keys: { kind: 'inline', jwks: '{"keys":[{"kty":"EC"}]}' } },
    text: "Jwks doesn't have any valid public key",
  },
}

for (const [name, { token, plan, text, status = 401 }] of Object.entries(refusals)) {
  test(`jwt: refuses a token that ${name}`, async () => {
    const exchange = request({ path: '/x', headers: bearer(await token()) })
    assert.deepEqual(await answer(filterOf(provider(plan)), exchange), {
      status,
      body: text,
      headers: ['www-authenticate', 'Bearer realm="http://app.test/x", error="invalid_token"'],
      details: `jwt_authn_access_denied{${text.replaceAll(' ', '_')}}`,
    })
    assert.deepEqual(exchange.tokens, [])
  })
}

test('jwt: the realm ends where it should, whatever a client writes into the path', async () => {
  const exchange = request({ path: `/a"b\\${'c'.repeat(300)}`, headers: bearer('x') })
  const reply = await answer(filterOf(provider()), exchange)
  assert.equal(reply?.headers?.[1], `Bearer realm="http://app.test/a%22b%5C${'c'.repeat(251)}", error="invalid_token"`)
})

test('jwt: a preflight passes whatever token it carries, but not what only the gateway may say', () => {
  const filter = filterOf(provider({ outputPayloadToHeader: 'x-payload' }))
  const preflight = ['origin', 'https://a.test', 'access-control-request-method', 'PUT', ...bearer('nonsense')]
  const exchange = request({ method: 'OPTIONS', headers: [...preflight, 'x-payload', 'forged'] })
  assert.equal(filter(exchange), undefined)
  assert.deepEqual(exchange.headers, preflight)
  const plain = filter(request({ method: 'OPTIONS', headers: ['origin', 'https://a.test', ...bearer('nonsense')] }))
  assert.equal((plain as { status: number }).status, 401)
})

test('jwt: claims and the payload are handed on, in the place of what the client sent', async () => {
  const claims = { ...CLAIMS, org: { team: 'blue' }, level: 7, share: 1.5, debt: -1, ok: true, list: ['a'], none: '' }
  const header = (name: string, ...claim: string[]) => ({ header: name, claim })
  const filter = filterOf(
    provider({
      outputPayloadToHeader: 'x-payload',
      outputClaimToHeaders: [
        header('x-user', 'sub'),
        header('x-team', 'org', 'team'),
        header('x-level', 'level'),
        header('x-share', 'share'),
        header('x-debt', 'debt'),
        header('x-ok', 'ok'),
        header('x-list', 'list'),
        header('x-none', 'none'),
        header('x-missing', 'org', 'toString'),
      ],
    }),
  )
  const forged = ['x-user', 'mallory', 'x-missing', 'forged', 'x-list', 'forged', 'x-payload', 'forged']
  const exchange = request({ headers: [...forged, ...bearer(await sign(key, claims))] })
  assert.equal(await answer(filter, exchange), undefined)
  const told = `x-payload ${encode(claims)} x-user alice x-team blue x-level 7 x-share 1.500000 x-debt -1.000000 x-ok true`
  assert.equal(exchange.headers.join(' '), told)
  const anonymous = request({ headers: forged })
  assert.equal(filter(anonymous), undefined)
  assert.deepEqual(anonymous.headers, [])
})

test('jwt: a claim cannot add lines to the request, and text beyond ASCII goes out as UTF-8', async () => {
  const filter = filterOf(
    provider({
      outputClaimToHeaders: [
        { header: 'x-bad', claim: ['bad'] },
        { header: 'x-name', claim: ['name'] },
      ],
    }),
  )
  const exchange = request({ headers: bearer(await tokenOf({ bad: 'a\r\nx-admin: 1', name: 'é' })) })
  assert.equal(await answer(filter, exchange), undefined)
  assert.deepEqual(exchange.headers, ['x-name', Buffer.from('é').toString('latin1')])
})

test('jwt: claims that are lists with blanks between become lists', async () => {
  const exchange = request({ headers: bearer(await tokenOf({ scope: 'read  write', roles: 'a b', other: 'a b' })) })
  const filter = filterOf(provider({ spaceDelimitedClaims: ['scope', 'permission', 'roles'] }))
  assert.equal(await answer(filter, exchange), undefined)
  const { scope, roles, other: text } = exchange.tokens[0]!.claims
  assert.deepEqual([scope, roles, text], [['read', 'write'], ['a', 'b'], 'a b'])
})

test('jwt: a rule without an issuer takes a token of any', async () => {
  const exchange = request({ headers: bearer(await tokenOf({ iss: 'anybody' })) })
  assert.equal(await answer(filterOf(provider({ issuer: '' })), exchange), undefined)
  assert.equal(exchange.tokens[0]?.issuer, 'anybody')
})

test('jwt: of several rules the one that accepts the token decides', async () => {
  const second = provider({ issuer: 'second', keys: { kind: 'inline', jwks: keySetText(other) } })
  const filter = filterOf(provider(), second)
  for (const round of ['first seen', 'known']) {
    const exchange = request({ headers: bearer(await sign(other, { iss: 'second', sub: 'bob' })) })
    assert.equal(await answer(filter, exchange), undefined, round)
    assert.equal(exchange.tokens[0]?.issuer, 'second')
  }
  const crossed = request({ headers: bearer(await sign(key, { iss: 'second' })) })
  assert.equal((await answer(filter, crossed))?.status, 401)
  const unknown = request({ headers: bearer(await sign(key, { iss: 'third' })) })
  assert.equal((await answer(filter, unknown))?.body, 'Jwt issuer is not configured')
})

test('jwt: the rule that knows the issuer says what is wrong', async () => {
  const filter = filterOf(provider({ issuer: 'a' }), provider({ audiences: ['web'] }), provider({ issuer: 'z' }))
  const exchange = request({ headers: bearer(await tokenOf()) })
  assert.equal((await answer(filter, exchange))?.status, 403)
})

test('jwt: what one rule accepts is not known to another', async () => {
  const strict = provider({ audiences: ['web'] })
  const lax = provider({ locations: [{ kind: 'header', name: 'x-token', prefix: '' }] })
  const filter = filterOf(lax, strict)
  const token = await tokenOf()
  assert.equal(await answer(filter, request({ headers: ['x-token', token] })), undefined)
  assert.equal((await answer(filter, request({ headers: bearer(token) })))?.status, 403)
})

test('jwt: a token whose key appears with the next fetch passes at once', async () => {
  let published = keySetText(other)
  const { time, keys } = keyStore(() => Promise.resolve(published))
  const plan = [provider({ keys: { kind: 'uri', uri: 'https://a.test/keys', timeoutMs: 1000 } })]
  const filter = compileJwt(plan, { keys })!
  const exchange = () => request({ headers: ['authorization', `Bearer ${token}`] })
  const token = await tokenOf()
  assert.equal((await answer(filter, exchange()))?.status, 401)
  published = keySetText(key, other)
  time.pass(COOLDOWN_MS)
  assert.equal(await answer(filter, exchange()), undefined)
  assert.equal(filter(exchange()), undefined)
  keys.close()
})

test('jwt: known tokens have to prove themselves again when the keys change', async () => {
  let published = keySetText(key)
  const { time, keys } = keyStore(() => Promise.resolve(published))
  const plan = [provider({ keys: { kind: 'uri', uri: 'https://a.test/keys', timeoutMs: 1000 } })]
  const filter = compileJwt(plan, { keys })!
  const token = await tokenOf()
  assert.equal(await answer(filter, request({ headers: bearer(token) })), undefined)
  published = keySetText(other)
  time.pass(20 * 60_000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal((await answer(filter, request({ headers: bearer(token) })))?.status, 401)
  keys.close()
})
