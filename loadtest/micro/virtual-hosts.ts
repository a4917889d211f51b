/** Decision 0001: what one Fastify app per virtual host costs, against one app for all. */
import Fastify from 'fastify'
import { printTable } from './measure.ts'

/** Builds several apps where one is too small to be measured. */
async function build(routes: number): Promise<{ ms: number; kib: number }> {
  const count = routes < 500 ? 100 : 1
  globalThis.gc?.()
  const before = process.memoryUsage().heapUsed
  const began = performance.now()
  const apps = []
  for (let n = 0; n < count; n++) {
    const app = Fastify({ logger: false })
    for (let i = 0; i < routes; i++) app.get(`/service-${i}/*`, () => 'x')
    await app.ready()
    apps.push(app)
  }
  const ms = (performance.now() - began) / count
  globalThis.gc?.()
  return { ms, kib: (process.memoryUsage().heapUsed - before) / 1024 / apps.length }
}

/** How many hosts one route takes as constraints before the router refuses another. */
function constraintLimit(): number {
  const app = Fastify({ logger: false })
  for (let i = 1; ; i++) {
    try {
      app.get('/', { constraints: { host: `host-${i}.test` } }, () => 'x')
    } catch {
      return i - 1
    }
    if (i === 1000) return i
  }
}

await build(5)
const rows: (string | number)[][] = []
for (const routes of [5, 50, 500, 5000, 20_000]) {
  const { ms, kib } = await build(routes)
  rows.push([String(routes), ms, kib])
}
printTable(['routes of one app', 'ms until ready', 'KiB of heap'], rows)
process.stdout.write(`hosts that one route takes as constraints: ${constraintLimit()}\n`)
