/** AuthorizationPolicies through a live data plane: what a client, an upstream and the access log see of them. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ask, type Ask, GATEWAY, raw, routes, service } from '../support/live.ts'
import { type ObservedGateway, startEcho, startObserved } from '../support/observed.ts'
import { keySetText, sign, testKey } from '../unit/tokens/make-token.ts'

const ISSUER = 'issuer@example.test'
const key = await testKey('RS256')
const echo = await startEcho()
after(() => echo.stop())

const HTTP = `[
  { match: [{ uri: { prefix: /redirect } }], redirect: { uri: /x } },
  { match: [{ uri: { prefix: /direct } }], directResponse: { status: 200 } },
  { match: [{ uri: { prefix: /fault } }], route: [{ destination: { host: echo.test } }], fault: { abort: { percentage: { value: 100 }, httpStatus: 418 } } },
  { match: [{ uri: { prefix: /cors } }], route: [{ destination: { host: echo.test } }], corsPolicy: { allowOrigins: [{ exact: "*" }] } },
  { match: [{ uri: { prefix: /old } }], route: [{ destination: { host: echo.test } }], rewrite: { uri: /new }, headers: { request: { set: { x-role: admin } } } },
  { route: [{ destination: { host: echo.test } }] }]`
const BASE = GATEWAY + service('echo', echo.port) + routes(HTTP, '*.test')

interface Spec {
  readonly name?: string
  readonly namespace?: string
  readonly annotations?: object
  readonly [field: string]: unknown
}

function policies(...specs: readonly Spec[]): string {
  const documents = specs.map(({ name, namespace = 'istio-system', annotations = {}, ...spec }, index) =>
    JSON.stringify({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: name ?? `policy-${index}`, namespace, annotations },
      spec,
    }),
  )
  return documents.map((document) => `${document}\n---\n`).join('')
}

const TOKENS = `${JSON.stringify({
  apiVersion: 'security.istio.io/v1',
  kind: 'RequestAuthentication',
  metadata: { name: 'tokens', namespace: 'istio-system' },
  spec: { jwtRules: [{ issuer: ISSUER, jwks: keySetText(key) }] },
})}\n---\n`

const to = (operation: object) => ({ to: [{ operation }] })
const from = (source: object) => ({ from: [{ source }] })
const deny = (...rules: readonly object[]): Spec => ({ action: 'DENY', rules })
const allow = (...rules: readonly object[]): Spec => ({ action: 'ALLOW', rules })

let gateway: ObservedGateway
before(async () => {
  gateway = await startObserved(BASE)
})
after(() => gateway.stop())

/** Each request's status with these policies. */
async function statuses(specs: readonly Spec[], asks: readonly (readonly [Omit<Ask, 'port'>, number])[], more = '') {
  const problems = await gateway.apply(BASE + more + policies(...specs))
  assert.deepEqual(
    problems.filter(({ severity, origin }) => severity === 'error' && origin.kind !== ''),
    [],
  )
  for (const [request, status] of asks) {
    const answer = await ask({ port: gateway.port(), ...request })
    assert.equal(answer.status, status, JSON.stringify(request))
    if (status === 403) {
      assert.equal(answer.body, request.method === 'HEAD' ? '' : 'RBAC: access denied')
      assert.equal(answer.headers['content-type'], 'text/plain')
      assert.equal(answer.headers['content-length'], '19')
    }
  }
}

test('a refusal is 403 with Envoy’s body, flag and details; nothing reaches the upstream', async () => {
  await statuses([{ name: 'no-secrets', ...deny(to({ paths: ['/secret*'] })) }], [[{ path: '/secret/1' }, 403]])
  const line = await gateway.logged('/secret/1')
  assert.equal(line['response_flags'], '-')
  assert.equal(
    line['response_code_details'],
    'rbac_access_denied_matched_policy[ns[istio-system]-policy[no-secrets]-rule[0]]',
  )
  assert.equal(line['upstream_host'], null)
  await statuses([allow(to({ paths: ['/one'] }))], [[{ path: '/two' }, 403]])
  const missed = await gateway.logged('/two')
  assert.equal(missed['response_code_details'], 'rbac_access_denied_matched_policy[none]')
})

test('policies are in force with the plan that brings them, and are gone with the one that takes them away', async () => {
  await statuses([deny({})], [[{}, 403]])
  await statuses([], [[{}, 200]])
  await statuses([{}], [[{}, 403]])
  await statuses([{}, allow({})], [[{}, 200]])
})

test('policies come before redirects, direct responses, faults, CORS preflights and unknown hosts', async () => {
  const headers = { 'x-deny': '1' }
  const preflight = { ...headers, origin: 'https://x.test', 'access-control-request-method': 'GET' }
  await statuses(
    [deny({ when: [{ key: 'request.headers[x-deny]', values: ['*'] }] })],
    [
      [{ path: '/redirect', headers }, 403],
      [{ path: '/direct', headers }, 403],
      [{ path: '/fault', headers }, 403],
      [{ path: '/cors', method: 'OPTIONS', headers: preflight }, 403],
      [{ host: 'unknown.example', headers }, 403],
      [{ method: 'HEAD', headers }, 403],
      [{ path: '/redirect' }, 301],
      [{ path: '/fault' }, 418],
      [{ host: 'unknown.example' }, 404],
    ],
  )
})

test('policies see the path and the headers that the client sent, not what the route makes of them', async () => {
  await statuses(
    [deny(to({ paths: ['/new*'] })), deny({ when: [{ key: 'request.headers[x-role]', values: ['admin'] }] })],
    [
      [{ path: '/old/1' }, 200],
      [{ path: '/old/1', headers: { 'x-role': 'admin' } }, 403],
      [{ path: '/new/1' }, 403],
    ],
  )
})

test('other spellings of a path are the same path', async () => {
  await gateway.apply(BASE + policies(deny(to({ paths: ['/admin', '/admin/*'] }))))
  const spellings = [
    '/admin',
    '/admin?x=1',
    '/./admin',
    '/x/../admin',
    '/%61dmin',
    '/adm%69n/x',
    '/x/%2e%2e/admin/x',
    '/x/.%2E/admin',
    '\\admin',
    '/x\\..\\admin',
    '/admin\\x',
    '/admin#x',
    'http://app.test/admin',
  ]
  for (const path of spellings) {
    const { text } = await raw(gateway.port(), `GET ${path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n`)
    assert.match(text, /^HTTP\/1\.1 (403|40[04]) /, path)
  }
  const { text } = await raw(gateway.port(), 'GET /Admin HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1\.1 200 /)
})

test('slashes are merged and decoded before policies look where the mesh says so', async () => {
  const mesh = { pathNormalization: 'DECODE_AND_MERGE_SLASHES' as const }
  const merging = await startObserved(BASE + policies(deny(to({ paths: ['/a/admin*'] }))), { mesh })
  try {
    for (const path of ['//a//admin', '/a%2Fadmin', '/a/%5cadmin', '/a%2f%2Fadmin/x']) {
      assert.equal((await ask({ port: merging.port(), path })).status, 403, path)
    }
  } finally {
    await merging.stop()
  }
})

test('hosts are compared in any letter case, with their port', async () => {
  await statuses(
    [deny(to({ hosts: ['secret.test', '*.private.test', 'ported.test:8443'] }))],
    [
      [{ host: 'secret.test' }, 403],
      [{ host: 'SECRET.Test' }, 403],
      [{ host: 'x.Private.test' }, 403],
      [{ host: 'private.test' }, 200],
      [{ host: 'secret.test:80' }, 200],
      [{ host: 'Ported.test:8443' }, 403],
      [{ host: 'ported.test' }, 200],
    ],
  )
})

test('addresses are those of the connection, whatever a header claims', async () => {
  const headers = { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9', 'x-real-ip': '203.0.113.9' }
  await statuses(
    [
      deny(
        from({ ipBlocks: ['203.0.113.0/24'] }),
        from({ remoteIpBlocks: ['203.0.113.0/24'] }),
        { ...from({ ipBlocks: ['127.0.0.0/8'] }), ...to({ paths: ['/peer'] }) },
        { ...from({ remoteIpBlocks: ['127.0.0.1'] }), ...to({ paths: ['/client'] }) },
        { when: [{ key: 'destination.ip', notValues: ['127.0.0.1'] }] },
        { when: [{ key: 'destination.port', notValues: ['80'] }] },
      ),
    ],
    [
      [{ headers }, 200],
      [{ path: '/peer', headers }, 403],
      [{ path: '/client', headers }, 403],
    ],
  )
})

test('behind trusted proxies remoteIpBlocks is the client that the last of them speaks for', async () => {
  const rules = [from({ remoteIpBlocks: ['203.0.113.0/24', '2001:db8::/32'] }), from({ ipBlocks: ['203.0.113.0/24'] })]
  const proxied = await startObserved(BASE + policies(deny(...rules)), { mesh: { numTrustedProxies: 1 } })
  try {
    const cases: readonly (readonly [string, number])[] = [
      ['203.0.113.9', 403],
      ['198.51.100.7, 203.0.113.9', 403],
      ['203.0.113.9, 198.51.100.7', 200],
      ['2001:db8::1', 403],
      ['::ffff:203.0.113.9', 403],
      ['unknown', 200],
    ]
    for (const [value, status] of cases) {
      const answer = await ask({ port: proxied.port(), headers: { 'x-forwarded-for': value } })
      assert.equal(answer.status, status, value)
    }
  } finally {
    await proxied.stop()
  }
})

test('tokens say who asks: principals, claims, audiences', async () => {
  const bearer = async (claims: object) => ({
    authorization: `Bearer ${await sign(key, { iss: ISSUER, sub: 'alice', ...claims })}`,
  })
  const when = (name: string, ...values: readonly string[]) => ({ when: [{ key: `request.auth.${name}`, values }] })
  const path = (text: string) => to({ paths: [text] })
  await statuses(
    [
      allow(
        { ...from({ requestPrincipals: ['*'] }), ...path('/any') },
        { ...from({ requestPrincipals: [`${ISSUER}/alice`] }), ...path('/alice') },
        { ...when('claims[groups]', 'admins', 'ops-*'), ...path('/groups') },
        { ...when('claims[org][team]', 'blue'), ...path('/team') },
        { ...when('audiences', 'web'), ...path('/web') },
        { ...when('claims[scope]', 'write'), ...path('/write') },
      ),
      deny({ ...from({ notRequestPrincipals: ['*'] }), ...path('/need*') }),
    ],
    [
      [{ path: '/any' }, 403],
      [{ path: '/any', headers: await bearer({}) }, 200],
      [{ path: '/alice', headers: await bearer({}) }, 200],
      [{ path: '/alice', headers: await bearer({ sub: 'bob' }) }, 403],
      [{ path: '/groups', headers: await bearer({ groups: ['users', 'admins'] }) }, 200],
      [{ path: '/groups', headers: await bearer({ groups: 'ops-eu' }) }, 200],
      [{ path: '/groups', headers: await bearer({ groups: ['users'] }) }, 403],
      [{ path: '/groups', headers: { groups: 'admins' } }, 403],
      [{ path: '/team', headers: await bearer({ org: { team: 'blue' } }) }, 200],
      [{ path: '/team', headers: await bearer({ org: { team: 'red' } }) }, 403],
      [{ path: '/web', headers: await bearer({ aud: ['other', 'web'] }) }, 200],
      [{ path: '/write', headers: await bearer({ scope: 'read write' }) }, 200],
      [{ path: '/write', headers: await bearer({ scope: 'read writer' }) }, 403],
      [{ path: '/need' }, 403],
    ],
    TOKENS,
  )
})

test('a bad token is 401 before any policy, and no token is nobody', async () => {
  await gateway.apply(BASE + TOKENS + policies(deny({})))
  const answer = await ask({ port: gateway.port(), headers: { authorization: 'Bearer x' } })
  assert.equal(answer.status, 401)
  assert.equal((await ask({ port: gateway.port() })).status, 403)
})

test('policies of other namespaces, for other labels, on trial and for audit decide nothing', async () => {
  await statuses(
    [
      { namespace: 'default', ...deny({}) },
      { annotations: { 'istio.io/dry-run': 'true' }, ...deny({}) },
      { annotations: { 'istio.io/dry-run': 'true' }, ...allow(to({ paths: ['/never'] })) },
      { action: 'AUDIT', rules: [{}] },
    ],
    [[{}, 200]],
  )
})

test('what policies on trial would have done is counted', async () => {
  const before = { ...gateway.plane.stats().metrics.dryRun }
  const trial = { annotations: { 'istio.io/dry-run': 'true' } }
  await statuses(
    [
      { ...trial, ...deny(to({ paths: ['/trial'] })) },
      { ...trial, ...allow(to({ paths: ['/trial'] })) },
    ],
    [
      [{ path: '/trial' }, 200],
      [{ path: '/other' }, 200],
      [{ path: '/other' }, 200],
    ],
  )
  const counts = gateway.plane.stats().metrics.dryRun ?? {}
  const since = Object.entries(counts).map(([name, count]) => [name, count - (before[name] ?? 0)])
  assert.deepEqual(Object.fromEntries(since), {
    'deny denied': 1,
    'deny allowed': 2,
    'allow allowed': 1,
    'allow denied': 2,
  })
})

test('a refused gRPC request gets a gRPC answer', async () => {
  await gateway.apply(BASE + policies(deny(to({ paths: ['/shop.Orders/*'] }))))
  const headers = { 'content-type': 'application/grpc' }
  const answer = await ask({ port: gateway.port(), method: 'POST', path: '/shop.Orders/Delete', headers, body: '' })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['grpc-status'], '7')
  assert.match(String(answer.headers['grpc-message']), /^RBAC: access denied$/)
})

test('a policy that is rejected keeps its last good version in force; a new one closes the gateway', async () => {
  await statuses([{ name: 'kept', ...deny(to({ paths: ['/a'] })) }], [[{ path: '/a' }, 403]])
  await gateway.apply(BASE + policies({ name: 'kept', action: 'DENY', rules: 'nonsense' }))
  assert.equal((await ask({ port: gateway.port(), path: '/a' })).status, 403)
  assert.equal((await ask({ port: gateway.port(), path: '/b' })).status, 200)
  await gateway.apply(BASE + policies({ name: 'new', action: 'DENY', rules: 'nonsense' }))
  assert.equal((await ask({ port: gateway.port(), path: '/b' })).status, 403)
})

test('requests that an authorizer should be asked about are refused where there is none', async () => {
  const ruled = { action: 'CUSTOM', provider: { name: 'nobody' }, rules: [to({ paths: ['/ask'] })] }
  await gateway.apply(BASE + policies(ruled))
  assert.equal((await ask({ port: gateway.port(), path: '/ask' })).status, 403)
  assert.equal((await ask({ port: gateway.port(), path: '/' })).status, 200)
})
