import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { ask, GATEWAY } from '../support/live.ts'
import { answering, createWorkspace, type GatewayProcess, startGatewayProcess } from '../support/process.ts'

const workspace = createWorkspace({ 'gateway.yaml': GATEWAY + answering('app.test', 'hello') })
let gateway: GatewayProcess

before(async () => {
  gateway = await startGatewayProcess({ workspace })
})
after(async () => {
  await workspace.remove()
})

test('a client that is still sending when its answer comes gets all of it', async () => {
  for (let i = 0; i < 60; i++) {
    const body = Buffer.alloc(200_000 * (i % 30))
    const { status, body: text } = await ask({ port: gateway.port(), method: 'POST', body })
    assert.deepEqual([status, text], [200, 'hello'], `${body.length} bytes`)
  }
})

test('a client that sends on after its answer is cut off after a second, and nothing that it sends is a request', async () => {
  const socket = connect({ port: gateway.port(), host: '127.0.0.1', allowHalfOpen: true })
  socket.setEncoding('latin1')
  let text = ''
  socket.on('data', (data) => (text += data))
  socket.on('error', () => {})
  socket.write('POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n')
  await once(socket, 'end')
  const began = performance.now()
  const sending = setInterval(() => socket.write('0123456789GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'), 20)
  await new Promise((resolve) => socket.once('close', resolve))
  clearInterval(sending)
  assert.ok(performance.now() - began < 5000)
  assert.equal(text.match(/HTTP\/1\.1/g)?.length, 1)
  assert.match(text, /^HTTP\/1\.1 200 [^]*\r\nconnection: close\r\n[^]*hello$/i)
})
