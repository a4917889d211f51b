/** RequestAuthentication through a live data plane, with an issuer that publishes its keys over HTTP. */
import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, before, test } from 'node:test'
import {
  ask,
  eventually,
  GATEWAY,
  type LiveGateway,
  routes,
  service,
  startGateway,
  startUpstream,
} from '../support/live.ts'
import { createWorkspace, startGatewayProcess } from '../support/process.ts'
import { keySetText, sign, type TestKey, testKey } from '../unit/tokens/make-token.ts'

const ISSUER = 'issuer@example.test'

let key: TestKey
let other: TestKey
let upstream: Awaited<ReturnType<typeof startUpstream>>
let issuer: Awaited<ReturnType<typeof startUpstream>>
/** What the issuer answers, and the paths it was asked for. */
let publish: (req: IncomingMessage, res: ServerResponse) => void
const asked: string[] = []

before(async () => {
  key = await testKey('RS256')
  other = await testKey('ES256')
  upstream = await startUpstream((req, res) => res.end(JSON.stringify({ url: req.url, headers: req.headers })))
  issuer = await startUpstream((req, res) => {
    asked.push(req.url!)
    publish(req, res)
  })
})

after(() => {
  upstream.stop()
  issuer.stop()
})

function requestAuthentication(rules: readonly object[]): string {
  return `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: istio-system }
spec: ${JSON.stringify({ jwtRules: rules })}
---
`
}

async function withGateway(
  rules: readonly object[],
  run: (gateway: LiveGateway) => Promise<void>,
  http = '[{ route: [{ destination: { host: a.test } }] }]',
): Promise<void> {
  const gateway = await startGateway(
    GATEWAY + service('a', upstream.port) + routes(http) + requestAuthentication(rules),
  )
  try {
    await run(gateway)
  } finally {
    await gateway.stop()
  }
}

const token = (claims: object = {}, by = key) => sign(by, { iss: ISSUER, sub: 'alice', ...claims })
const bearer = (text: string) => ({ authorization: `Bearer ${text}` })
const seen = (body: string) => JSON.parse(body) as { url: string; headers: Record<string, string> }

test('a request passes without a token and with a good one, which its upstream does not see', async () => {
  await withGateway([{ issuer: ISSUER, jwks: keySetText(key) }], async (gateway) => {
    const port = gateway.port()
    assert.equal((await ask({ port })).status, 200)
    for (const round of [1, 2]) {
      const answer = await ask({ port, headers: bearer(await token()) })
      assert.equal(answer.status, 200, `round ${round}`)
      assert.equal(seen(answer.body).headers['authorization'], undefined)
    }
    const inQuery = await ask({ port, path: `/p?a=1&access_token=${await token()}` })
    assert.equal(seen(inQuery.body).url, '/p?a=1')
  })
})

test('a bad token is refused with its reason, to gRPC in its own words', async () => {
  await withGateway([{ issuer: ISSUER, jwks: keySetText(key), audiences: ['web'] }], async (gateway) => {
    const port = gateway.port()
    const answer = await ask({ port, path: '/x?y', headers: bearer('nonsense') })
    assert.equal(answer.status, 401)
    assert.match(answer.body, /^Jwt is not in the form of/)
    assert.equal(answer.headers['content-type'], 'text/plain')
    assert.equal(answer.headers['www-authenticate'], 'Bearer realm="http://app.test/x?y", error="invalid_token"')
    const audience = await ask({ port, headers: bearer(await token({ aud: 'x' })) })
    assert.deepEqual([audience.status, audience.body], [403, 'Audiences in Jwt are not allowed'])
    const headers = { ...bearer('nonsense'), 'content-type': 'application/grpc' }
    const grpc = await ask({ port, method: 'POST', headers })
    assert.deepEqual([grpc.status, grpc.headers['grpc-status']], [200, '16'])
  })
})

test('claims are handed on in headers that no client can forge', async () => {
  const outputs = {
    outputPayloadToHeader: 'x-payload',
    outputClaimToHeaders: [
      { header: 'x-user', claim: 'sub' },
      { header: 'x-team', claim: 'org.team' },
    ],
  }
  await withGateway([{ issuer: ISSUER, jwks: keySetText(key), ...outputs }], async (gateway) => {
    const forged = { 'x-payload': 'forged', 'X-User': 'mallory', 'x-team': 'red' }
    const anonymous = seen((await ask({ port: gateway.port(), headers: forged })).body).headers
    for (const name of ['x-payload', 'x-user', 'x-team']) assert.equal(anonymous[name], undefined)
    const text = await token({ org: { team: 'blue' } })
    const { headers } = seen((await ask({ port: gateway.port(), headers: { ...forged, ...bearer(text) } })).body)
    assert.equal(headers['x-payload'], text.split('.')[1])
    assert.equal(headers['x-user'], 'alice')
    assert.equal(headers['x-team'], 'blue')
  })
})

test('claims choose routes', async () => {
  const rules = [
    { match: [{ headers: { '@request.auth.claims.groups': { exact: 'admins' } } }], directResponse: { status: 201 } },
    {
      match: [{ headers: { '@request.auth.claims[org.example][tier]': { prefix: 'gold' } } }],
      directResponse: { status: 202 },
    },
    {
      match: [{ withoutHeaders: { '@request.auth.claims.scope': { exact: 'write' } } }],
      directResponse: { status: 203 },
    },
    { directResponse: { status: 204 } },
  ]
  await withGateway(
    [{ issuer: ISSUER, jwks: keySetText(key) }],
    async (gateway) => {
      const statusOf = async (claims?: object, headers: Record<string, string> = {}) => {
        const sent = claims === undefined ? headers : { ...headers, ...bearer(await token(claims)) }
        return (await ask({ port: gateway.port(), headers: sent })).status
      }
      assert.equal(await statusOf({ groups: ['users', 'admins'] }), 201)
      assert.equal(await statusOf({ groups: 'admins' }), 201)
      assert.equal(await statusOf({ groups: 'Admins' }), 203)
      assert.equal(await statusOf({ 'org.example': { tier: 'gold-2' } }), 202)
      assert.equal(await statusOf({ scope: 'read write' }), 204)
      assert.equal(await statusOf(undefined, { groups: 'admins' }), 203)
    },
    JSON.stringify(rules),
  )
})

test('keys are fetched before they are needed, and not for each request', async () => {
  asked.length = 0
  publish = (_, res) => res.end(keySetText(key))
  const jwksUri = `http://127.0.0.1:${issuer.port}/keys.json`
  await withGateway([{ issuer: ISSUER, jwksUri }], async (gateway) => {
    await eventually(() => assert.deepEqual(asked, ['/keys.json']))
    for (let i = 0; i < 10; i++) {
      assert.equal((await ask({ port: gateway.port(), headers: bearer(await token({ i })) })).status, 200)
    }
    const unknown = await ask({ port: gateway.port(), headers: bearer(await token({}, other)) })
    assert.equal(unknown.body, "Jwks doesn't have key to match kid or alg from Jwt")
    assert.deepEqual(asked, ['/keys.json'])
  })
})

test('an issuer that is an address is asked where its keys are', async () => {
  asked.length = 0
  const address = `http://127.0.0.1:${issuer.port}`
  publish = (req, res) =>
    void res.end(req.url === '/certs' ? keySetText(key) : JSON.stringify({ jwks_uri: `${address}/certs` }))
  await withGateway([{ issuer: address }], async (gateway) => {
    const text = await sign(key, { iss: address, sub: 'alice' })
    assert.equal((await ask({ port: gateway.port(), headers: bearer(text) })).status, 200)
    assert.deepEqual(asked, ['/.well-known/openid-configuration', '/certs'])
  })
})

test('while keys cannot be had their tokens are refused, and nothing else is', async () => {
  publish = (_, res) => void res.writeHead(302, { location: '/elsewhere' }).end()
  const away = { issuer: 'away@example.test', jwksUri: `http://127.0.0.1:${issuer.port}/keys.json` }
  await withGateway([away, { issuer: ISSUER, jwks: keySetText(other) }], async (gateway) => {
    const port = gateway.port()
    const answer = await ask({ port, headers: bearer(await sign(key, { iss: away.issuer })) })
    assert.deepEqual([answer.status, answer.body], [401, 'Jwks remote fetch is failed'])
    assert.equal((await ask({ port, headers: bearer(await token({}, other)) })).status, 200)
    assert.equal((await ask({ port })).status, 200)
    assert.ok(!asked.includes('/elsewhere'))
  })
})

test('a reload that leaves an issuer alone does not fetch its keys anew', async () => {
  asked.length = 0
  publish = (_, res) => res.end(keySetText(key))
  const rule = { issuer: ISSUER, jwksUri: `http://127.0.0.1:${issuer.port}/keys.json` }
  await withGateway([rule], async (gateway) => {
    await eventually(() => assert.equal(asked.length, 1))
    const text = bearer(await token({ aud: 'web' }))
    assert.equal((await ask({ port: gateway.port(), headers: text })).status, 200)
    const reloaded = GATEWAY + service('a', upstream.port) + routes('[{ directResponse: { status: 200 } }]')
    await gateway.apply(reloaded + requestAuthentication([{ ...rule, audiences: ['mobile'] }]))
    assert.equal((await ask({ port: gateway.port(), headers: text })).status, 403)
    assert.equal(asked.length, 1)
    await gateway.apply(reloaded)
    assert.equal((await ask({ port: gateway.port(), headers: bearer('nonsense') })).status, 200)
  })
})

test('one process fetches for all workers, on a new key too, and a restart does without the issuer', async (context) => {
  asked.length = 0
  publish = (_, res) => res.end(keySetText(key))
  const jwksUri = `http://127.0.0.1:${issuer.port}/keys.json`
  const yaml = GATEWAY + service('a', upstream.port) + routes('[{ route: [{ destination: { host: a.test } }] }]')
  const workspace = createWorkspace({ 'all.yaml': yaml + requestAuthentication([{ issuer: ISSUER, jwksUri }]) })
  context.after(() => workspace.remove())
  const gateway = await startGatewayProcess({ workspace, workers: 3 })
  // Each connection may be another worker's.
  const statuses = async (port: number, by: TestKey) =>
    new Set(
      await Promise.all(
        Array.from(
          { length: 24 },
          async (_, n) => (await ask({ port, headers: bearer(await token({ n }, by)) })).status,
        ),
      ),
    )
  assert.deepEqual(await statuses(gateway.port(), key), new Set([200]))
  assert.deepEqual(asked, ['/keys.json'])
  const metrics = await gateway.metrics()
  assert.equal(metrics.get(`sluice_jwks_fetches_total{uri="${jwksUri}",result="success"}`), 1)
  assert.ok(metrics.get(`sluice_jwks_age_seconds{uri="${jwksUri}"}`)! < 60)

  await gateway.stop()
  publish = (_, res) => void res.writeHead(503).end()
  const restarted = await startGatewayProcess({ workspace, workers: 2 })
  assert.deepEqual(await statuses(restarted.port(), key), new Set([200]))
  assert.deepEqual(await statuses(restarted.port(), other), new Set([401]))
  await eventually(async () => {
    const failures = (await restarted.metrics()).get(`sluice_jwks_fetches_total{uri="${jwksUri}",result="failure"}`)
    assert.ok(failures! >= 1)
  })
})
