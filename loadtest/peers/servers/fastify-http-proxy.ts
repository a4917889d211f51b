/**
 * What one gets with Fastify and its own proxy plugin. `node fastify-http-proxy.ts PORT UPSTREAM_PORT`
 */
import httpProxy from '@fastify/http-proxy'
import fastify from 'fastify'

const [port, upstreamPort] = process.argv.slice(2).map(Number)
const app = fastify({ logger: false })
await app.register(httpProxy, {
  upstream: `http://127.0.0.1:${upstreamPort}`,
  undici: { connections: 512, pipelining: 1, keepAliveTimeout: 60_000 },
})
await app.listen({ port: port ?? 0, host: '127.0.0.1' })
