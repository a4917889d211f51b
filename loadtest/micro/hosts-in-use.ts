/** What a request costs from its virtual host to the answer, by how many virtual hosts are asked in turn. */
import type { RoutePlan } from '../../src/plan/route.ts'
import { VirtualHost } from '../../src/routing/virtual-host.ts'
import { nanosPerCall, printTable } from './measure.ts'
import { exchangeFor, routingDeps } from './request.ts'

/** @param own What makes the last path one that no other host has; empty: all hosts have the same paths. */
function routesOf(own: string): RoutePlan[] {
  return Array.from({ length: 6 }, (_, i): RoutePlan => ({
    name: `rule-${i}`,
    origin: { kind: 'VirtualService', namespace: 'default', name: 'bench' },
    match: { path: { kind: 'prefix', prefix: i < 5 ? `/service-${i}/` : `/own${own}/`, ignoreCase: false } },
    action: { kind: 'direct-response', status: 200 },
  }))
}

/** As many as connections: what a request brings itself is in the processor's caches, whatever its host. */
const exchanges = Array.from({ length: 30 }, (_, i) => exchangeFor(`/service-${i % 5}/orders`))

async function readyHosts(count: number, alike: boolean): Promise<(() => void)[]> {
  let answered = 0
  const deps = routingDeps(() => {
    answered++
  })
  const calls = Array.from({ length: count }, (_, i) => {
    const host = new VirtualHost(
      { host: `h${i}.test`, requireTls: false, routes: routesOf(alike ? '' : String(i)) },
      deps,
    )
    const exchange = exchanges[i % exchanges.length]!
    return () => host.handle(exchange)
  })
  for (const call of calls) call()
  while (answered < count) await new Promise((resolve) => setTimeout(resolve, 5))
  return calls
}

const counts = [1, 3, 10, 100, 1000]
const functions: Record<string, () => void> = {}
for (const alike of [true, false]) {
  for (const count of counts) {
    const calls = await readyHosts(count, alike)
    let at = 0
    functions[`${count} ${alike}`] = () => {
      at = at + 1 === count ? 0 : at + 1
      calls[at]!()
    }
  }
}
const nanos = nanosPerCall(functions, { calls: 100_000 })
printTable(
  ['virtual hosts in use', 'ns to the answer, all with the same paths', 'each with paths of its own'],
  counts.map((count) => [String(count), nanos[`${count} true`]!, nanos[`${count} false`]!]),
)
