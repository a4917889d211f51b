/** Bodies of requests that an external authorizer is shown and the upstream gets afterwards. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { allow, pause, useGuarded } from '../support/guarded.ts'
import { ask, raw } from '../support/live.ts'

const { app, guard, httpAuthorizer } = useGuarded()

describe('the body of a request', () => {
  const withBody = (more: object = {}) => ({ includeRequestBodyInCheck: { maxRequestBytes: 10, ...more } })

  test('is shown to the authorizer and then forwarded', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody())
    const answer = await ask({ port: gateway.port(), method: 'POST', body: 'ten bytes!' })
    assert.equal(answer.status, 200)
    assert.equal(authorizer.seen[0]?.body, 'ten bytes!')
    assert.equal(authorizer.seen[0]?.headers['content-length'], '10')
    assert.equal(authorizer.seen[0]?.headers['x-envoy-auth-partial-body'], 'false')
    assert.equal(app.seen[0]?.body, 'ten bytes!')
    assert.equal(app.seen[0]?.headers['x-envoy-auth-partial-body'], undefined)
  })

  test('that is none is not waited for', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody())
    assert.equal((await ask({ port: gateway.port(), headers: { 'x-envoy-auth-partial-body': 'false' } })).status, 200)
    assert.equal(authorizer.seen[0]?.headers['x-envoy-auth-partial-body'], undefined)
  })

  test('that is too long is refused with 413 before anyone is asked', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody())
    const answer = await ask({ port: gateway.port(), method: 'POST', body: 'eleven byte' })
    assert.equal(answer.status, 413)
    assert.equal(answer.body, 'Payload Too Large')
    const chunked = await ask({
      port: gateway.port(),
      method: 'POST',
      headers: { 'transfer-encoding': 'chunked' },
      body: 'eleven byte',
    })
    assert.equal(chunked.status, 413)
    assert.equal(authorizer.seen.length + app.seen.length, 0)
  })

  test('that is too long is cut with allowPartialMessage, and forwarded whole', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody({ allowPartialMessage: true }))
    const long = 'abcdefghij'.repeat(50_000)
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
      const answer = await ask({ port: gateway.port(), method: 'POST', headers, body: long })
      assert.equal(answer.status, 200)
      assert.equal(authorizer.seen.at(-1)?.body, 'abcdefghij')
      assert.equal(authorizer.seen.at(-1)?.headers['x-envoy-auth-partial-body'], 'true')
      assert.equal(app.seen.at(-1)?.body, long)
    }
  })

  test('that comes in chunks, or is empty in the end, is forwarded as it came', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody())
    const head = 'POST / HTTP/1.1\r\nhost: app.test\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n'
    for (const [chunks, body] of [
      [['3\r\nabc\r\n', '4\r\ndefg\r\n', '0\r\n\r\n'], 'abcdefg'],
      [['0\r\n\r\n'], ''],
    ] as const) {
      const client = connect(gateway.port(), '127.0.0.1')
      client.setEncoding('latin1')
      let text = ''
      client.on('data', (data: string) => (text += data))
      client.write(head)
      for (const chunk of chunks) {
        await pause(20)
        client.write(chunk)
      }
      await once(client, 'close')
      assert.match(text, /^HTTP\/1\.1 200 /)
      assert.equal(authorizer.seen.at(-1)?.body, body)
      assert.equal(app.seen.at(-1)?.body, body)
    }
    const empty = await raw(gateway.port(), `${head}0\r\n\r\n`)
    assert.match(empty.text, /^HTTP\/1\.1 200 /)
  })

  test('that a client holds back until it is asked for is asked for', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody())
    const client = connect(gateway.port(), '127.0.0.1')
    client.setEncoding('latin1')
    let text = ''
    client.on('data', (data: string) => (text += data))
    client.write(
      'POST / HTTP/1.1\r\nhost: app.test\r\ncontent-length: 3\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n',
    )
    for (let i = 0; i < 100 && !text.includes('100 Continue'); i++) await pause(10)
    client.write('abc')
    await once(client, 'close')
    assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /)
    assert.equal(app.seen[0]?.body, 'abc')
  })

  test('survives a connection that is used again', async () => {
    const authorizer = await httpAuthorizer(allow)
    const gateway = await guard('Http', authorizer.port, withBody())
    const one = (body: string) =>
      `POST /${body} HTTP/1.1\r\nhost: app.test\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    await raw(gateway.port(), one('first') + one('second') + one('third'), 500)
    assert.deepEqual(
      app.seen.map(({ url, body }) => [url, body]),
      [
        ['/first', 'first'],
        ['/second', 'second'],
        ['/third', 'third'],
      ],
    )
  })
})
