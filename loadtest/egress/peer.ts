/**
 * The ends of the tunnels, in a process of their own: `node peer.ts server DIR` (an HTTPS server on one port, a source of
 * bytes and an echo on two others; prints their ports), `node peer.ts relay PORT` (a TCP relay and nothing else, what
 * Node's own sockets cost), and the clients `node peer.ts requests|stream|idle …`, which print what they counted.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'

const [role = '', ...args] = process.argv.slice(2)
const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)
const CHUNK = Buffer.alloc(64 * 1024, 'x')

const ROLES: Record<string, () => Promise<void>> = { server, relay, requests, stream, idle }
const run = ROLES[role]
if (run === undefined) throw new Error(`there is no role ${role}`)
await run()

async function listening(server: { listen(port: number, host: string): unknown; address(): unknown }): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server as never, 'listening')
  return (server.address() as AddressInfo).port
}

async function server(): Promise<void> {
  const [dir = '.'] = args
  const pair = { key: readFileSync(join(dir, 'server.key')), cert: readFileSync(join(dir, 'server.pem')) }
  const body = 'x'.repeat(1024)
  const https = createHttpsServer(pair, (_, res) => res.end(body))
  // Reads how many bytes are wanted, then sends them.
  const source = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (bytes) => {
      let left = Number(bytes.toString())
      const write = () => {
        while (left > 0) {
          const chunk = left >= CHUNK.length ? CHUNK : CHUNK.subarray(0, left)
          left -= chunk.length
          if (!socket.write(chunk)) return
        }
        socket.end()
      }
      socket.on('drain', write)
      write()
    })
  })
  const echo = createServer((socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  say({ https: await listening(https), source: await listening(source), echo: await listening(echo) })
}

async function relay(): Promise<void> {
  const port = Number(args[0])
  const proxy = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    for (const socket of [client, upstream]) socket.on('error', () => {})
    client.pipe(upstream)
    upstream.pipe(client)
  })
  say({ port: await listening(proxy) })
}

/** A connection through a proxy; without a target it is a relay, which needs no asking. */
async function tunnel(port: number, target: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  if (target === '-') return socket
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
  const [head] = (await once(socket, 'data')) as [Buffer]
  if (!head.toString('latin1').startsWith('HTTP/1.1 200') || !head.includes('\r\n\r\n')) {
    throw new Error(head.toString('latin1').slice(0, 200))
  }
  return socket
}

/** Short TLS requests: a tunnel, a handshake, a request, over and over. */
async function requests(): Promise<void> {
  const [port, target = '-', seconds, connections] = args
  const end = performance.now() + Number(seconds) * 1000
  let [count, errors] = [0, 0]
  const one = async () => {
    const socket = await tunnel(Number(port), target)
    const tls = connectTls({ socket, servername: 'good.test', rejectUnauthorized: false })
    await once(tls, 'secureConnect')
    tls.write('GET / HTTP/1.1\r\nHost: good.test\r\nConnection: close\r\n\r\n')
    let bytes = 0
    for await (const chunk of tls) bytes += (chunk as Buffer).length
    if (bytes < 1024) throw new Error('short answer')
  }
  await Promise.all(
    Array.from({ length: Number(connections) }, async () => {
      while (performance.now() < end) {
        try {
          await one()
          count++
        } catch {
          errors++
        }
      }
    }),
  )
  say({ count, errors })
  process.exit(0)
}

/** One long answer. */
async function stream(): Promise<void> {
  const [port, target = '-', wanted = '0'] = args
  const socket = await tunnel(Number(port), target)
  const started = performance.now()
  socket.write(wanted)
  let bytes = 0
  socket.on('data', (chunk) => (bytes += chunk.length))
  await once(socket, 'end')
  say({ bytes, seconds: (performance.now() - started) / 1000 })
  process.exit(0)
}

/** Many tunnels in which nothing happens, until standard input ends. */
async function idle(): Promise<void> {
  const [port, target = '-', wanted] = args
  const sockets: Socket[] = []
  let failed = 0
  while (sockets.length + failed < Number(wanted)) {
    const batch = await Promise.allSettled(Array.from({ length: 100 }, () => tunnel(Number(port), target)))
    for (const result of batch) {
      if (result.status === 'fulfilled') sockets.push(result.value)
      else failed++
    }
  }
  say({ open: sockets.length, failed })
  setInterval(() => {}, 1000)
}
