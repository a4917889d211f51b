/** External authorizers over gRPC: a server of the gRPC project is asked, a real upstream answers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { describe, test } from 'node:test'
import { type GrpcAuthorizer, startGrpcAuthorizer } from '../support/authorizer.ts'
import { allow, unusedPort, useGuarded } from '../support/guarded.ts'
import { ask } from '../support/live.ts'

const { app, open, guard, httpAuthorizer, grpcAuthorizer } = useGuarded()

describe('a gRPC authorizer', () => {
  const ok = { status: { code: 0 } }

  test('is told of the request as Envoy tells it', async () => {
    const authorizer = await grpcAuthorizer(() => ok)
    const gateway = await guard('Grpc', authorizer.port)
    const before = Math.floor(Date.now() / 1000)
    const answer = await ask({
      port: gateway.port(),
      method: 'POST',
      path: '/a/./b?c=d',
      host: 'app.test:99',
      headers: { authorization: 'Bearer x', 'x-name': 'Zoë', 'content-type': 'text/plain' },
      body: 'hidden',
    })
    assert.equal(answer.status, 200)
    const { source, destination, request } = authorizer.seen[0]!.attributes
    assert.equal(source.address.socketAddress.address, '127.0.0.1')
    assert.ok(source.address.socketAddress.portValue > 0)
    assert.deepEqual(destination.address.socketAddress, {
      protocol: 0,
      address: '127.0.0.1',
      portValue: gateway.port(),
    })
    assert.ok(request.time.seconds >= before && request.time.seconds <= before + 60)
    const { id, headers, rawBody, ...http } = request.http
    assert.deepEqual(http, {
      method: 'POST',
      path: '/a/b?c=d',
      host: 'app.test:99',
      scheme: 'http',
      query: '',
      fragment: '',
      size: 6,
      protocol: 'HTTP/1.1',
      body: '',
    })
    assert.equal(rawBody.length, 0)
    assert.equal(id, headers['x-request-id'])
    assert.equal(headers[':authority'], 'app.test:99')
    assert.equal(headers[':method'], 'POST')
    assert.equal(headers[':path'], '/a/b?c=d')
    assert.equal(headers[':scheme'], 'http')
    assert.equal(headers['authorization'], 'Bearer x')
    assert.equal(headers['x-forwarded-proto'], 'http')
    assert.equal(headers['content-length'], '6')
    assert.equal(app.seen[0]?.body, 'hidden')
    assert.deepEqual(authorizer.authorities, ['outbound_.80_._.authz.test'])
  })

  test('is told what the Open Policy Agent needs for parsed_path, parsed_query and parsed_body', async () => {
    const authorizer = await grpcAuthorizer(({ attributes: { request } }) => {
      // What its Envoy plugin makes its input from, with its usual answer.
      const url = new URL(request.http.path, 'http://opa')
      const body = JSON.parse(request.http.body) as { user: string }
      const isAllowed =
        request.http.headers['content-type'] === 'application/json' &&
        url.pathname.split('/')[1] === 'people' &&
        url.searchParams.get('lang') === 'en' &&
        request.http.headers['x-envoy-auth-partial-body'] === 'false' &&
        body.user === 'alice'
      return isAllowed
        ? { status: { code: 0 }, okResponse: { headers: [{ header: { key: 'x-opa', value: 'yes' } }] } }
        : { status: { code: 7 }, deniedResponse: { status: { code: 403 }, body: 'no' } }
    })
    const gateway = await guard('Grpc', authorizer.port, { includeRequestBodyInCheck: { maxRequestBytes: 1000 } })
    const post = (user: string) =>
      ask({
        port: gateway.port(),
        method: 'POST',
        path: '/people/1?lang=en',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ user }),
      })
    assert.equal((await post('alice')).status, 200)
    assert.equal(app.seen[0]?.headers['x-opa'], 'yes')
    const refused = await post('bob')
    assert.equal(refused.status, 403)
    assert.equal(refused.body, 'no')
  })

  test('is given the body as bytes where packAsBytes is set', async () => {
    const authorizer = await grpcAuthorizer(() => ok)
    const gateway = await guard('Grpc', authorizer.port, {
      includeRequestBodyInCheck: { maxRequestBytes: 4, packAsBytes: true, allowPartialMessage: true },
    })
    const bytes = Buffer.from([0xff, 0x00, 0xfe, 0x80, 0x81])
    await ask({ port: gateway.port(), method: 'POST', body: bytes })
    const { rawBody, body, headers } = authorizer.seen[0]!.attributes.request.http
    assert.deepEqual(rawBody, bytes.subarray(0, 4))
    assert.equal(body, '')
    assert.equal(headers['x-envoy-auth-partial-body'], 'true')
  })

  test('that allows changes headers and query parameters of the request, and headers of the response', async () => {
    const header = (key: string, value: string, more: object = {}) => ({ header: { key, value }, ...more })
    const authorizer = await grpcAuthorizer(() => ({
      status: { code: 0 },
      okResponse: {
        headers: [
          header('X-User', 'alice'),
          header('x-list', 'b', { append: { value: true } }),
          header('x-absent', 'new', { appendAction: 1 }),
          header('x-present', 'new', { appendAction: 1 }),
          header('x-only-there', 'new', { appendAction: 3 }),
          header('x-not-there', 'new', { appendAction: 3 }),
          header('content-length', '999'),
        ],
        headersToRemove: ['Cookie', 'host', ':path', 'content-length'],
        responseHeadersToAdd: [
          header('set-cookie', 'a=1'),
          header('set-cookie', 'b=2'),
          header('x-from', 'authz', { appendAction: 2 }),
        ],
        queryParametersToSet: [
          { key: 'tenant', value: 'a b&c' },
          { key: 'q', value: '2' },
        ],
        queryParametersToRemove: ['secret'],
      },
    }))
    const gateway = await guard('Grpc', authorizer.port)
    const answer = await ask({
      port: gateway.port(),
      method: 'POST',
      path: '/x?q=1&secret=s&sec%72et=t&keep=%20&q=3',
      headers: { 'x-user': 'mallory', 'x-list': 'a', 'x-present': 'old', 'x-only-there': 'old', cookie: 'c' },
      body: 'four',
    })
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
    assert.equal(answer.headers['x-from'], 'authz')
    const { url, headers, body } = app.seen[0]!
    assert.equal(url, '/x?q=2&keep=%20&tenant=a%20b%26c')
    assert.equal(headers['x-user'], 'alice')
    assert.equal(headers['x-list'], 'a,b')
    assert.equal(headers['x-absent'], 'new')
    assert.equal(headers['x-present'], 'old')
    assert.equal(headers['x-only-there'], 'new')
    assert.equal(headers['x-not-there'], undefined)
    assert.equal(headers['cookie'], undefined)
    assert.equal(headers['host'], 'app.test')
    assert.equal(headers['content-length'], '4')
    assert.equal(body, 'four')
  })

  test('that denies decides status, headers and body', async () => {
    const authorizer = await grpcAuthorizer(() => ({
      status: { code: 16 },
      deniedResponse: {
        status: { code: 401 },
        headers: [
          { header: { key: 'WWW-Authenticate', value: 'Bearer' } },
          { header: { key: 'set-cookie', value: 'a=1' } },
          { header: { key: 'set-cookie', value: 'b=2' } },
          { header: { key: 'x-split', value: 'a\r\nx-injected: 1' } },
          { header: { key: 'transfer-encoding', value: 'chunked' } },
        ],
        body: 'who are you?',
      },
    }))
    const gateway = await guard('Grpc', authorizer.port)
    const answer = await ask({ port: gateway.port() })
    assert.equal(answer.status, 401)
    assert.equal(answer.body, 'who are you?')
    assert.equal(answer.headers['www-authenticate'], 'Bearer')
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
    assert.equal(answer.headers['x-injected'], undefined)
    assert.equal(answer.headers['x-split'], undefined)
    assert.equal(answer.headers['transfer-encoding'], undefined)
    assert.equal(app.seen.length, 0)
  })

  const refusals: Record<string, object> = {
    'a status that is not OK, and nothing else': { status: { code: 7, message: 'no' } },
    'a status that is not OK, and an OK response': { status: { code: 7 }, okResponse: {} },
    'a refusal whose status was forgotten': { deniedResponse: { body: '' } },
    'a refusal whose status is OK': { status: { code: 0 }, deniedResponse: { status: { code: 403 } } },
    'a refusal with an HTTP status that is none': { status: { code: 7 }, deniedResponse: { status: { code: 42 } } },
  }
  for (const [what, response] of Object.entries(refusals)) {
    test(`refuses with 403 by ${what}, failOpen or not`, async () => {
      const gateway = await guard('Grpc', (await grpcAuthorizer(() => response)).port, { failOpen: true })
      assert.equal((await ask({ port: gateway.port() })).status, 403)
      assert.equal(app.seen.length, 0)
    })
  }

  const useless: Record<string, GrpcAuthorizer['answer']> = {
    'an empty message': () => ({}),
    'a gRPC error': () => ({ code: 14, details: 'down' }),
    UNIMPLEMENTED: () => ({ code: 12, details: 'no such service' }),
    'a header that is none': () => ({
      status: { code: 0 },
      okResponse: { headers: [{ header: { key: 'a b', value: 'x' } }] },
    }),
    'a header that would begin another': () => ({
      status: { code: 0 },
      okResponse: { headers: [{ header: { key: 'x-a', value: 'x\r\nx-b: y' } }] },
    }),
    'another path': () => ({
      status: { code: 0 },
      okResponse: { headers: [{ header: { key: ':path', value: '/admin' } }] },
    }),
    'more than anyone could need': () => ({ status: { code: 0, message: 'x'.repeat(2 * 1024 * 1024) } }),
  }
  for (const [what, answer] of Object.entries(useless)) {
    test(`that answers with ${what} refuses, and not with failOpen`, async () => {
      const { port } = await grpcAuthorizer(answer)
      const closed = await guard('Grpc', port, { statusOnError: '500' })
      const refused = await ask({ port: closed.port() })
      assert.equal(refused.status, 500)
      assert.equal(refused.body, '')
      assert.equal(app.seen.length, 0)
      const opened = await guard('Grpc', port, { failOpen: true })
      assert.equal((await ask({ port: opened.port() })).status, 200)
      assert.equal(app.seen[0]?.url, '/')
    })
  }

  test('an authorizer whose status is present without a code allows, and so does an OK response without a status', async () => {
    for (const response of [{ status: {} }, { okResponse: {} }]) {
      const gateway = await guard('Grpc', (await grpcAuthorizer(() => response)).port)
      assert.equal((await ask({ port: gateway.port() })).status, 200)
    }
  })

  test('that cannot be reached, or is no gRPC server, refuses', async () => {
    const http = await httpAuthorizer(allow)
    const mute = createTcpServer((socket) => socket.end('SSH-2.0-x\r\n'))
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    open.push(() => mute.close())
    for (const port of [await unusedPort(), http.port, (mute.address() as AddressInfo).port]) {
      const gateway = await guard('Grpc', port, { timeout: '5s' })
      const start = performance.now()
      assert.equal((await ask({ port: gateway.port() })).status, 403)
      assert.ok(performance.now() - start < 3000, 'it is noticed at once')
    }
  })

  test('that does not answer in time refuses, and another connection is tried next', async () => {
    const authorizer = await grpcAuthorizer(() => 'silence')
    const gateway = await guard('Grpc', authorizer.port, { timeout: '0.2s' })
    assert.equal((await ask({ port: gateway.port() })).status, 403)
    authorizer.answer = () => ok
    assert.equal((await ask({ port: gateway.port() })).status, 200)
  })

  test('is asked again after it was started anew', async () => {
    const first = await startGrpcAuthorizer()
    const gateway = await guard('Grpc', first.port)
    assert.equal((await ask({ port: gateway.port() })).status, 200)
    first.stop()
    assert.equal((await ask({ port: gateway.port() })).status, 403)
    const second = await startGrpcAuthorizer({ port: first.port })
    open.push(() => second.stop())
    assert.equal((await ask({ port: gateway.port() })).status, 200)
  })

  test('takes many checks at a time on one connection', async () => {
    const authorizer = await grpcAuthorizer(({ attributes }) =>
      attributes.request.http.path.endsWith('7') ? { status: { code: 7 } } : ok,
    )
    const gateway = await guard('Grpc', authorizer.port)
    const statuses = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => (await ask({ port: gateway.port(), path: `/${i}` })).status),
    )
    for (const [i, status] of statuses.entries()) assert.equal(status, String(i).endsWith('7') ? 403 : 200, String(i))
  })
})
