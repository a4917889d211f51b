import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { Http1Connection } from '../../../src/upstreams/http1/connection.ts'
import type { ResponseHandler } from '../../../src/upstreams/stream.ts'
import { eventually } from '../../support/live.ts'
import { skipWithout } from '../../support/requirements.ts'
import { TlsBench } from './tls-bench.ts'
import { request } from './tls-peer.ts'

describe('TLS handshakes', { skip: skipWithout('openssl') }, () => {
  const bench = new TlsBench()
  after(() => bench.close())

  describe('a peer that is no proper TLS server', () => {
    test('that never answers is a connection timeout', async () => {
      const { outcome } = await bench.ask(await bench.tcpPeer(() => {}), {}, 'app.test', 50)
      assert.equal(outcome, 'connection-timeout')
    })

    test('that speaks plain text is named in the failure', async () => {
      const there = await bench.tcpPeer((socket) =>
        socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
      )
      const { outcome, detail } = await bench.ask(there)
      assert.deepEqual(
        [outcome, detail],
        [
          'remote-connection-failure',
          'TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end',
        ],
      )
    })

    for (const [how, act] of Object.entries({ closes: 'end', resets: 'resetAndDestroy' } as const)) {
      test(`that ${how} the connection is a connection failure`, async () => {
        const there = await bench.tcpPeer((socket) => socket.once('data', () => socket[act]()))
        const { outcome, detail } = await bench.ask(there)
        assert.equal(outcome, 'remote-connection-failure')
        assert.match(detail, /Connection reset by peer/)
      })
    }

    test('that knows nothing newer than TLS 1.1 is refused', async () => {
      const there = await bench.peer({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' })
      const { outcome, detail } = await bench.ask(there)
      assert.equal(outcome, 'remote-connection-failure')
      assert.match(detail, /TLS_error:\|\d+:SSL routines:OPENSSL_internal:(TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED)/)
    })

    test('that knows nothing newer than TLS 1.2 is refused where 1.3 is asked for', async () => {
      const there = await bench.peer({ maxVersion: 'TLSv1.2' })
      const { detail } = await bench.ask(there, { minVersion: 'TLSv1.3' })
      assert.match(detail, /TLSV1_ALERT_PROTOCOL_VERSION/)
    })
  })

  test('a body that comes before the handshake is over is held back, and sent in order', async () => {
    const there = await bench.peer()
    const { dialer } = bench.dialer()
    const owner = { onConnected: () => {}, onIdle: () => {}, onClosed: () => {} }
    const connection = new Http1Connection(dialer.dial(there.endpoint, 'app.test'), owner, 2000)
    const { promise: answered, resolve, reject } = Promise.withResolvers<void>()
    const handler: ResponseHandler = {
      onInformational: () => {},
      onHead: () => {},
      onData: () => true,
      onEnd: () => resolve(),
      onFailure: (reason) => reject(new Error(reason)),
      onDrain: () => {
        assert.equal(connection.connected, true)
        connection.write(Buffer.from('three'))
        connection.endRequest(null)
      },
    }
    connection.send(
      {
        method: 'POST',
        path: '/',
        authority: 'a',
        scheme: 'http',
        headers: [],
        body: 'chunked',
        requestSpelling: null,
        upgrade: null,
      },
      handler,
    )
    assert.deepEqual(
      ['one', '', 'two'].map((chunk) => connection.write(Buffer.from(chunk))),
      [false, false, false],
    )
    assert.deepEqual([connection.connected, connection.localAddress], [false, ''])
    await answered
    await eventually(() => {
      const body = '3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n'
      assert.equal(there.requests.join(''), `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${body}`)
    })
    assert.match(connection.localAddress, /^127\.0\.0\.1:\d+$/)
    connection.close()
  })

  test('a connection that is closed during the handshake sends nothing', async () => {
    const there = await bench.peer()
    const { dialer } = bench.dialer()
    const socket = dialer.dial(there.endpoint, 'app.test')
    const result = request(socket)
    await once(socket, 'connect')
    socket.destroy()
    assert.equal((await result).outcome, 'remote-connection-failure')
    assert.deepEqual(there.requests, [])
  })
})
