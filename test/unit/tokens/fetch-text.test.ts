import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { fetchText, MAX_DOCUMENT_BYTES } from '../../../src/tokens/fetch-text.ts'

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
}

test('fetchText: gives the body of an answer with status 200', async (t) => {
  const url = await serve(t, (req, res) => {
    assert.equal(req.headers['accept'], 'application/json')
    assert.equal(req.headers['accept-encoding'], 'identity')
    res.end('{"é":1}')
  })
  assert.equal(await fetchText(url, 2000), '{"é":1}')
})

const failing: Record<string, { listener: RequestListener; reason: RegExp }> = {
  'a redirect': {
    listener: (_, res) => res.writeHead(302, { location: '/elsewhere' }).end(),
    reason: /status 302 \(redirects are not followed\)/,
  },
  'an error': { listener: (_, res) => res.writeHead(500).end('{}'), reason: /status 500/ },
  'a body that is too large': {
    listener: (_, res) => res.end(Buffer.alloc(MAX_DOCUMENT_BYTES + 1)),
    reason: /more than 1048576 bytes/,
  },
  'a body that does not end': {
    listener: (_, res) => {
      res.write('{')
    },
    reason: /no answer within 150 ms/,
  },
  'a body that breaks off': {
    listener: (req, res) => {
      res.writeHead(200, { 'content-length': 10 })
      res.write('{', () => req.socket.destroy())
    },
    reason: /aborted|cut off|ECONNRESET/,
  },
  'no answer': { listener: () => {}, reason: /no answer within 150 ms/ },
  'a connection that is closed at once': { listener: (req) => req.socket.destroy(), reason: /hang up|ECONNRESET/ },
}

for (const [name, { listener, reason }] of Object.entries(failing)) {
  test(`fetchText: fails for ${name}`, async (t) => {
    const url = await serve(t, listener)
    await assert.rejects(fetchText(url, 150), reason)
  })
}

for (const url of ['file:///etc/passwd', 'data:application/json,{}', 'ftp://a.test/', 'no address']) {
  test(`fetchText: does not fetch ${url}`, () => assert.rejects(fetchText(url, 100), /not an http or https address/))
}

test('fetchText: fails where nobody listens', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  await assert.rejects(fetchText(`http://127.0.0.1:${port}/`, 1000), /ECONNREFUSED/)
})
