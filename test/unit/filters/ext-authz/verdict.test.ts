import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { applyAllow, denyReply } from '../../../../src/filters/ext-authz/apply.ts'
import { checkRequest, decodeVerdict } from '../../../../src/filters/ext-authz/grpc-check.ts'
import { loadCheckCodec } from '../../../../src/filters/ext-authz/messages.ts'
import type { AllowVerdict, HeaderChange } from '../../../../src/filters/ext-authz/verdict.ts'
import { makeExchange } from '../../exchange/make-exchange.ts'

const codec = await loadCheckCodec()

function allow(requestHeaders: readonly HeaderChange[], more: Partial<AllowVerdict> = {}): AllowVerdict {
  return {
    kind: 'allow',
    requestHeaders,
    removedHeaders: [],
    responseHeaders: [],
    query: { set: [], remove: [] },
    ...more,
  }
}

test('bytes that nobody meant as an answer are never an allowance', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const verdict = decodeVerdict(codec, Buffer.from(bytes))
      // An allowance says so: a status, or a response that is OK.
      if (verdict.kind === 'allow') assert.ok(bytes.includes(0x0a) || bytes.includes(0x1a))
    }),
  )
  assert.equal(decodeVerdict(codec, Buffer.alloc(0)).kind, 'error')
  assert.equal(decodeVerdict(codec, Buffer.from([0x0a])).kind, 'error')
  assert.equal(decodeVerdict(codec, Buffer.from([0x0a, 0x00])).kind, 'allow')
  assert.equal(decodeVerdict(codec, Buffer.from([0x0a, 0x02, 0x08, 0x07])).kind, 'deny')
})

test('Host and the pseudo-headers stay what was asked about, and nothing else is changed then', () => {
  for (const name of ['host', ':path', ':method', ':authority']) {
    const exchange = makeExchange({ headers: ['a', '1'] })
    const problem = applyAllow(
      exchange,
      allow([
        { name: 'a', value: '2', how: 'set' },
        { name, value: 'x', how: 'set' },
      ]),
    )
    assert.match(String(problem), /wants to change/)
    assert.deepEqual(exchange.headers, ['a', '1'])
  }
})

test('removes come after changes, and spare what a request cannot do without', () => {
  const exchange = makeExchange({ headers: ['content-length', '3', 'a', '1', 'b', '2'] })
  const problem = applyAllow(
    exchange,
    allow([{ name: 'a', value: '9', how: 'set' }], { removedHeaders: ['a', 'content-length', 'host', ':path'] }),
  )
  assert.equal(problem, null)
  assert.deepEqual(exchange.headers, ['content-length', '3', 'b', '2'])
})

test('a refusal is flagged as Envoy does', () => {
  const reply = denyReply({ kind: 'deny', status: 401, headers: ['a', '1'], body: 'x' })
  assert.deepEqual(reply, { status: 401, headers: ['a', '1'], body: 'x', flag: 'UAEX', details: 'ext_authz_denied' })
})

test('addresses of either family are told without brackets, and the size of a body as far as it is known', () => {
  const exchange = makeExchange({
    peerAddress: '[2001:db8::1]:4711',
    localAddress: '192.0.2.1:8080',
    headers: ['a', '1', 'a', '2', 'x-envoy-auth-partial-body', 'false'],
    body: 'chunked',
  })
  const { source, destination, request } = checkRequest(exchange, null, false).attributes
  assert.deepEqual(source.address.socketAddress, { address: '2001:db8::1', portValue: 4711 })
  assert.deepEqual(destination.address.socketAddress, { address: '192.0.2.1', portValue: 8080 })
  assert.deepEqual(request.time, { seconds: 1767323045, nanos: 678_000_000 })
  assert.equal(request.http.headers['a'], '1,2')
  assert.equal(request.http.headers['x-envoy-auth-partial-body'], undefined)
  assert.equal(request.http.size, -1)
  const body = { bytes: Buffer.from('abc'), partial: false }
  assert.equal(checkRequest(exchange, body, false).attributes.request.http.size, 3)
})
