/**
 * The floor for a proxy on Node: `node:http` on both sides, nothing looked at, nothing added.
 * `node node-http.ts PORT UPSTREAM_PORT`
 */
import { Agent, createServer, request } from 'node:http'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const agent = new Agent({ keepAlive: true, maxFreeSockets: 512 })

createServer((incoming, outgoing) => {
  const forwarded = request(
    {
      host: '127.0.0.1',
      port: upstreamPort,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
      agent,
    },
    (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    },
  )
  forwarded.once('error', () => outgoing.destroy())
  incoming.pipe(forwarded)
}).listen(port, '127.0.0.1')
