/** gRPC through the gateway, with grpc-js at both ends. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { after, test } from 'node:test'
import {
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type requestCallback,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceClientConstructor,
  type ServiceError,
  status,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { eventually, GATEWAY, routes } from '../support/live.ts'
import { closedPort, startObserved } from '../support/observed.ts'

interface Text {
  readonly text: string
}
interface EchoClient {
  Unary(message: Text, metadata: Metadata, callback: requestCallback<Text>): ClientUnaryCall
  Silent(message: Text, metadata: Metadata, options: object, callback: requestCallback<Text>): ClientUnaryCall
  Flaky(message: Text, metadata: Metadata, callback: requestCallback<Text>): ClientUnaryCall
  Server(message: Text): ClientReadableStream<Text>
  Client(callback: requestCallback<Text>): ClientWritableStream<Text>
  Both(): ClientDuplexStream<Text, Text>
  close(): void
}

const loaded = loadPackageDefinition(loadSync(fileURLToPath(new URL('../support/echo.proto', import.meta.url))))
const { Echo } = (loaded['test'] as unknown as { v1: { Echo: ServiceClientConstructor } }).v1

const seen = { cancelled: 0, silent: 0, flaky: 0, deadline: 0 }
const server = new Server()
server.addService(Echo.service, {
  Unary: (call: ServerUnaryCall<Text, Text>, done: sendUnaryData<Text>) => {
    call.sendMetadata(call.metadata.clone())
    const trailer = new Metadata()
    trailer.set('x-trailer', 'kept')
    if (call.request.text === 'fail')
      done({ code: status.FAILED_PRECONDITION, details: 'not ready: 100 %' }, null, trailer)
    else done(null, { text: `hello ${call.request.text}` }, trailer)
  },
  Server: (call: ServerWritableStream<Text, Text>) => {
    for (let i = 0; i < 100; i++) call.write({ text: `${call.request.text} ${i}` })
    call.end()
  },
  Client: (call: ServerReadableStream<Text, Text>, done: sendUnaryData<Text>) => {
    let text = ''
    call.on('data', (message: Text) => (text += message.text))
    call.on('end', () => done(null, { text }))
  },
  Both: (call: ServerDuplexStream<Text, Text>) => {
    call.on('data', (message: Text) => call.write({ text: message.text.toUpperCase() }))
    call.on('end', () => call.end())
  },
  Silent: (call: ServerUnaryCall<Text, Text>) => {
    seen.silent++
    seen.deadline = Number(call.getDeadline())
    call.on('cancelled', () => seen.cancelled++)
  },
  Flaky: (_call: ServerUnaryCall<Text, Text>, done: sendUnaryData<Text>) => {
    seen.flaky++
    if (seen.flaky % 2 === 1) done({ code: status.UNAVAILABLE, details: 'not now' })
    else done(null, { text: `try ${seen.flaky}` })
  },
})
const port = await new Promise<number>((resolve, reject) => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
    if (error === null) resolve(bound)
    else reject(error)
  })
})
const grpcService = (name: string, at: number) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.test]
  ports: [{ number: 80, name: grpc, protocol: GRPC }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { grpc: ${at} } }]
---
`
const gateway = await startObserved(
  GATEWAY +
    grpcService('echo', port) +
    grpcService('dead', await closedPort()) +
    routes(`[
      { match: [{ headers: { x-to: { exact: dead } } }], route: [{ destination: { host: dead.test } }] },
      { match: [{ headers: { x-to: { exact: short } } }], route: [{ destination: { host: echo.test } }], timeout: 150ms },
      { match: [{ headers: { x-to: { exact: once } } }], route: [{ destination: { host: echo.test } }], retries: { attempts: 0 } },
      { match: [{ uri: { prefix: /test.v1.Echo/ } }], route: [{ destination: { host: echo.test } }] } ]`),
)
const client = new Echo(`127.0.0.1:${gateway.port()}`, credentials.createInsecure(), {
  'grpc.default_authority': 'app.test',
  // What is tried again is for the gateway to decide.
  'grpc.enable_retries': 0,
}) as unknown as EchoClient
after(async () => {
  client.close()
  await gateway.stop()
  server.forceShutdown()
})

function to(where: string): Metadata {
  const metadata = new Metadata()
  metadata.set('x-to', where)
  return metadata
}

interface Called {
  readonly error: ServiceError | null
  readonly answer: Text | undefined
}
const called = (begin: (callback: requestCallback<Text>) => unknown): Promise<Called> =>
  new Promise((resolve) => {
    begin((error, answer) => resolve({ error, answer }))
  })

test('a unary call with metadata and trailers', async () => {
  const heads: Metadata[] = []
  const ends: Metadata[] = []
  const { error, answer } = await called((callback) => {
    const metadata = to('here')
    metadata.set('x-bytes-bin', Buffer.from([0, 255]))
    const call = client.Unary({ text: 'world' }, metadata, callback)
    call.on('metadata', (got: Metadata) => heads.push(got))
    call.on('status', ({ metadata: got }) => ends.push(got))
  })
  assert.equal(error, null)
  assert.equal(answer?.text, 'hello world')
  assert.deepEqual(heads[0]?.get('x-bytes-bin'), [Buffer.from([0, 255])])
  await eventually(() => assert.deepEqual(ends[0]?.get('x-trailer'), ['kept']))
})

test('an error of the service arrives with its code, its text and its trailers', async () => {
  const { error } = await called((callback) => client.Unary({ text: 'fail' }, to('here'), callback))
  assert.deepEqual([error?.code, error?.details], [status.FAILED_PRECONDITION, 'not ready: 100 %'])
  assert.deepEqual(error?.metadata.get('x-trailer'), ['kept'])
})

test('streams of all kinds', async () => {
  const texts: string[] = []
  for await (const { text } of client.Server({ text: 'number' }) as AsyncIterable<Text>) texts.push(text)
  assert.deepEqual([texts.length, texts[99]], [100, 'number 99'])

  const { answer } = await called((callback) => {
    const stream = client.Client(callback)
    for (const text of ['a', 'b', 'c']) stream.write({ text })
    stream.end()
  })
  assert.equal(answer?.text, 'abc')

  // Each message waits for the answer to the one before: nothing is held back until the end.
  const both = client.Both()
  for (const text of ['one', 'two']) {
    both.write({ text })
    const [got] = (await once(both, 'data')) as [Text]
    assert.equal(got.text, text.toUpperCase())
  }
  both.end()
  both.resume()
  await once(both, 'end')
})

test('what the gateway answers by itself is a gRPC status', async () => {
  const dead = await called((callback) => client.Unary({ text: 'x' }, to('dead'), callback))
  assert.equal(dead.error?.code, status.UNAVAILABLE)
  assert.match(dead.error?.details ?? '', /^upstream connect error or disconnect\/reset before headers/)
  const elsewhere = new Echo(`127.0.0.1:${gateway.port()}`, credentials.createInsecure(), {
    'grpc.default_authority': 'other.test',
  }) as unknown as EchoClient
  const unknown = await called((callback) => elsewhere.Unary({ text: 'x' }, to('here'), callback))
  elsewhere.close()
  assert.equal(unknown.error?.code, status.UNIMPLEMENTED)
})

test('a deadline reaches the service, and the route’s timeout bounds it', async () => {
  const began = Date.now()
  const own = called((callback) => client.Silent({ text: 'x' }, to('here'), { deadline: began + 60_000 }, callback))
  await eventually(() => assert.equal(seen.silent, 1))
  assert.ok(Math.abs(seen.deadline - began - 60_000) < 5000, `deadline in ${seen.deadline - began} ms`)
  const short = await called((callback) =>
    client.Silent({ text: 'x' }, to('short'), { deadline: Date.now() + 60_000 }, callback),
  )
  assert.deepEqual([short.error?.code, short.error?.details], [status.UNAVAILABLE, 'upstream request timeout'])
  void own
})

test('a call that is cancelled is cancelled at the service', async () => {
  const before = { ...seen }
  const ended = called((callback) => {
    const call = client.Silent({ text: 'x' }, to('here'), {}, callback)
    void eventually(() => assert.equal(seen.silent, before.silent + 1)).then(() => {
      call.cancel()
    })
  })
  assert.equal((await ended).error?.code, status.CANCELLED)
  await eventually(() => assert.ok(seen.cancelled > before.cancelled))
})

test('a trailers-only UNAVAILABLE is tried again, unless the route does not', async () => {
  const again = await called((callback) => client.Flaky({ text: 'x' }, to('here'), callback))
  assert.equal(again.answer?.text, 'try 2')
  const single = await called((callback) => client.Flaky({ text: 'x' }, to('once'), callback))
  assert.equal(single.error?.code, status.UNAVAILABLE)
})

test('the log and the metrics know gRPC', async () => {
  const line = await gateway.logged('/test.v1.Echo/Client')
  assert.deepEqual([line['protocol'], line['response_code'], line['method']], ['HTTP/2', 200, 'POST'])
  const statuses = gateway
    .counted()
    .filter(({ labels }) => labels.request_protocol === 'grpc')
    .map(({ labels }) => labels.grpc_response_status)
  for (const code of ['0', '9', '12', '14']) assert.ok(statuses.includes(code), `${code} in ${statuses.join()}`)
})
