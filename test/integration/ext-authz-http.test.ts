/** External authorizers over HTTP: a real server is asked, a real upstream answers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, test } from 'node:test'
import { allow, pause, type Seen, unusedPort, useGuarded } from '../support/guarded.ts'
import { ask, startUpstream } from '../support/live.ts'

const { app, open, guard, httpAuthorizer } = useGuarded()

describe('an HTTP authorizer', () => {
  test('that answers 200 lets the request through, and is told of method, path, Host and authorization only', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port)
    const answer = await ask({
      port: gateway.port(),
      method: 'PUT',
      path: '/a/b?c=d',
      host: 'app.test:8080',
      headers: { authorization: 'Bearer x', cookie: 'a=b', 'x-other': '1' },
      body: 'content',
    })
    assert.equal(answer.status, 200)
    assert.equal(answer.body, 'hello')
    assert.equal(app.seen[0]?.body, 'content')
    const headers = { host: 'app.test:8080', authorization: 'Bearer x', 'content-length': '0' }
    assert.deepEqual(authorizer.seen, [{ method: 'PUT', url: '/a/b?c=d', headers, body: '' }])
  })

  test('is asked on one connection again and again', async () => {
    const ports = new Set<number | undefined>()
    const authorizer = await startUpstream((req, res) => {
      ports.add(req.socket.remotePort)
      res.end()
    })
    open.push(() => authorizer.stop())
    const gateway = await guard('Http', authorizer.port)
    for (let i = 0; i < 5; i++) assert.equal((await ask({ port: gateway.port() })).status, 200)
    assert.equal(ports.size, 1)
  })

  test('is not asked about requests that no rule matches', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, {}, '', '/private*')
    assert.equal((await ask({ port: gateway.port(), path: '/public' })).status, 200)
    assert.equal(authorizer.seen.length, 0)
    assert.equal((await ask({ port: gateway.port(), path: '/private/1' })).status, 200)
    assert.equal(authorizer.seen.length, 1)
  })

  test('is told of the listed headers, and of additional ones that replace them', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, {
      includeRequestHeadersInCheck: ['Cookie', 'x-team-*', '*-id', 'content-length', 'connection'],
      includeAdditionalHeadersInCheck: { 'X-Gateway': 'edge', 'x-team-name': 'forced', 'x-method': '%REQ(:METHOD)%' },
    })
    await ask({
      port: gateway.port(),
      method: 'POST',
      headers: { cookie: 'a=b', 'x-team-name': 'forged', 'x-team-size': '3', 'x-order-id': '7', 'x-none': '1' },
      body: 'twelve bytes',
    })
    const { headers } = authorizer.seen[0]!
    assert.equal(headers['cookie'], 'a=b')
    assert.equal(headers['x-team-name'], 'forced')
    assert.equal(headers['x-team-size'], '3')
    assert.equal(headers['x-order-id'], '7')
    assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/)
    assert.equal(headers['x-gateway'], 'edge')
    assert.equal(headers['x-method'], 'POST')
    assert.equal(headers['x-none'], undefined)
    assert.equal(headers['content-length'], '0')
  })

  test('is asked at its path prefix and the normal form of the path', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, { pathPrefix: '/check' })
    await ask({ port: gateway.port(), path: '/a/../b?x=%2f' })
    assert.equal(authorizer.seen[0]?.url, '/check/b?x=%2f')
    assert.equal(app.seen[0]?.url, '/b?x=%2f')
  })

  test('that answers anything else decides what the client is answered, headers and body included', async () => {
    const authorizer = await httpAuthorizer((_, res) => {
      res.writeHead(302, [
        ['location', 'https://login.test/'],
        ['set-cookie', 'a=1'],
        ['set-cookie', 'b=2'],
        ['content-type', 'text/html'],
        ['x-why', 'no'],
      ] as unknown as string[])
      res.end('<p>go</p>')
    })
    const gateway = await guard('Http', authorizer.port)
    const answer = await ask({ port: gateway.port() })
    assert.equal(answer.status, 302)
    assert.equal(answer.body, '<p>go</p>')
    assert.equal(answer.headers['location'], 'https://login.test/')
    assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2'])
    assert.equal(answer.headers['content-type'], 'text/html')
    assert.equal(answer.headers['content-length'], '9')
    assert.equal(answer.headers['x-why'], 'no')
    assert.equal(app.seen.length, 0)
  })

  for (const status of [201, 204, 400, 401, 403, 404, 429]) {
    test(`that answers ${status} refuses with it`, async () => {
      const authorizer = await httpAuthorizer((_, res) => void res.writeHead(status).end())
      const gateway = await guard('Http', authorizer.port)
      const answer = await ask({ port: gateway.port() })
      assert.equal(answer.status, status)
      assert.equal(answer.body, '')
      assert.equal(app.seen.length, 0)
    })
  }

  test('with headersToDownstreamOnDeny lets only those through, and what a login needs', async () => {
    const authorizer = await httpAuthorizer((_, res) => {
      res.writeHead(401, { 'www-authenticate': 'Basic', 'x-ext-a': '1', 'x-ext-b': '2', 'x-secret': '3' })
      res.end('who?')
    })
    const gateway = await guard('Http', authorizer.port, { headersToDownstreamOnDeny: ['x-ext-*'] })
    const answer = await ask({ port: gateway.port() })
    assert.equal(answer.status, 401)
    assert.equal(answer.body, 'who?')
    assert.equal(answer.headers['www-authenticate'], 'Basic')
    assert.equal(answer.headers['x-ext-a'], '1')
    assert.equal(answer.headers['x-ext-b'], '2')
    assert.equal(answer.headers['x-secret'], undefined)
  })

  test('that allows sets listed headers on the request and the response, and takes headers off', async () => {
    const authorizer = await httpAuthorizer((_, res) => {
      res.writeHead(200, [
        ['x-user', 'alice'],
        ['x-role', 'admin'],
        ['x-hidden', 'no'],
        ['set-cookie', 'session=1'],
        ['x-envoy-auth-headers-to-remove', 'Cookie, x-drop, host, content-length'],
      ] as unknown as string[])
      res.end()
    })
    const gateway = await guard('Http', authorizer.port, {
      headersToUpstreamOnAllow: ['X-User', 'x-role', 'c*'],
      headersToDownstreamOnAllow: ['set-cookie'],
    })
    const answer = await ask({
      port: gateway.port(),
      method: 'POST',
      headers: { 'x-user': 'mallory', cookie: 'secret', 'x-drop': '1' },
      body: 'four',
    })
    assert.equal(answer.status, 200)
    assert.deepEqual(answer.headers['set-cookie'], ['session=1'])
    const { headers, body } = app.seen[0]!
    assert.equal(headers['x-user'], 'alice')
    assert.equal(headers['x-role'], 'admin')
    assert.equal(headers['x-hidden'], undefined)
    assert.equal(headers['x-envoy-auth-headers-to-remove'], undefined)
    assert.equal(headers['cookie'], undefined)
    assert.equal(headers['x-drop'], undefined)
    assert.equal(headers['host'], 'app.test')
    assert.equal(headers['content-length'], '4')
    assert.equal(body, 'four')
  })

  const broken: Record<string, (req: Seen, res: ServerResponse) => void> = {
    'answers 500': (_, res) => void res.writeHead(500).end('secret'),
    'answers 503': (_, res) => void res.writeHead(503).end(),
    'breaks off': (_, res) => res.socket!.destroy(),
    'breaks off in the middle of a yes': (_, res) => {
      res.writeHead(200, { 'content-length': '100' })
      res.write('half')
      setTimeout(() => res.socket!.destroy(), 20)
    },
    'answers more than anyone could need': (_, res) => void res.end(Buffer.alloc(2 * 1024 * 1024)),
    'speaks something else': (_, res) => void res.socket!.end('SSH-2.0-x\r\n\r\n'),
  }
  for (const [what, answer] of Object.entries(broken)) {
    test(`that ${what} refuses with 403, without a body`, async () => {
      const gateway = await guard('Http', (await httpAuthorizer(answer)).port)
      const got = await ask({ port: gateway.port() })
      assert.equal(got.status, 403)
      assert.equal(got.body, '')
      assert.equal(app.seen.length, 0)
    })

    test(`that ${what} lets requests through with failOpen`, async () => {
      const gateway = await guard('Http', (await httpAuthorizer(answer)).port, { failOpen: true })
      assert.equal((await ask({ port: gateway.port() })).status, 200)
    })
  }

  test('that cannot be reached refuses with statusOnError', async () => {
    const gateway = await guard('Http', await unusedPort(), { statusOnError: '503' })
    const answer = await ask({ port: gateway.port() })
    assert.equal(answer.status, 503)
    assert.equal(answer.body, '')
  })

  test('that does not answer in time refuses, and its connection is given up', async () => {
    let closed = 0
    const authorizer = await httpAuthorizer((_, res) => void res.once('close', () => closed++))
    const gateway = await guard('Http', authorizer.port, { timeout: '0.1s' })
    const start = performance.now()
    assert.equal((await ask({ port: gateway.port() })).status, 403)
    assert.ok(performance.now() - start < 2000)
    await pause(50)
    assert.equal(closed, 1)
  })

  test('is asked again where it closes the connection that was kept', async () => {
    let requests = 0
    const sockets: { destroy(): void }[] = []
    const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
      requests++
      if (requests === 2) req.socket.destroy()
      else {
        sockets.push(req.socket)
        res.end()
      }
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push(() => (server.closeAllConnections(), server.close()))
    const gateway = await guard('Http', (server.address() as AddressInfo).port)
    assert.equal((await ask({ port: gateway.port() })).status, 200)
    assert.equal((await ask({ port: gateway.port() })).status, 200)
    assert.equal(requests, 3)
  })

  test('is no longer waited for when the client leaves', async () => {
    let closed = false
    const authorizer = await httpAuthorizer((_, res) => void res.once('close', () => (closed = true)))
    const gateway = await guard('Http', authorizer.port)
    const client = connect(gateway.port(), '127.0.0.1')
    client.on('error', () => {})
    client.write('GET / HTTP/1.1\r\nhost: app.test\r\n\r\n')
    while (authorizer.seen.length === 0) await pause(10)
    client.destroy()
    for (let i = 0; i < 100 && !closed; i++) await pause(10)
    assert.equal(closed, true)
    assert.equal(app.seen.length, 0)
  })

  test('answers gRPC clients in their way', async () => {
    const authorizer = await httpAuthorizer((_, res) => void res.writeHead(403).end('not you'))
    const gateway = await guard('Http', authorizer.port)
    const answer = await ask({ port: gateway.port(), method: 'POST', headers: { 'content-type': 'application/grpc' } })
    assert.equal(answer.status, 200)
    assert.equal(answer.headers['grpc-status'], '7')
    assert.equal(answer.headers['grpc-message'], 'not you')
  })
})
