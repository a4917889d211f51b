/** Decision 0002: finding the first rule that matches, by the router's entries and by the plain list. */
import type { RoutePlan, VirtualHostPlan } from '../../src/plan/route.ts'
import { compileLinear } from '../../src/routing/linear.ts'
import { VirtualHost } from '../../src/routing/virtual-host.ts'
import { nanosPerCall, printTable } from './measure.ts'
import { exchangeFor, routingDeps } from './request.ts'

function virtualHost(rules: number): VirtualHostPlan {
  const routes = Array.from({ length: rules }, (_, i): RoutePlan => ({
    name: `rule-${i}`,
    origin: { kind: 'VirtualService', namespace: 'default', name: 'bench' },
    match: { path: { kind: 'prefix', prefix: `/service-${i}/`, ignoreCase: false } },
    action: { kind: 'direct-response', status: 200 },
  }))
  return { host: 'bench.test', requireTls: false, routes }
}

const rows: (string | number)[][] = []
for (const rules of [5, 50, 500, 5000]) {
  const plan = virtualHost(rules)
  let answered = 0
  const host = new VirtualHost(
    plan,
    routingDeps(() => {
      answered++
    }),
  )
  const linear = compileLinear(plan)
  const exchange = exchangeFor(`/service-${rules - 1}/orders`)
  host.handle(exchange)
  while (answered === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const nanos = nanosPerCall(
    { router: () => host.handle(exchange), list: () => linear(exchange) },
    { calls: rules > 1000 ? 2000 : 20_000 },
  )
  rows.push([String(rules), nanos['router']!, nanos['list']!])
}
printTable(['rules of the host', 'ns by the router, to the answer', 'ns by the list, to the rule'], rows)
