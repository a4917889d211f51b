/** Decision 0012: turning a plan of 10,000 virtual hosts into parts, and finding what one change sends to workers. */
import { nextParts, type Parts } from '../../src/plan/parts.ts'
import type { Plan } from '../../src/plan/plan.ts'
import type { VirtualHostPlan } from '../../src/plan/route.ts'
import { median, printTable } from './measure.ts'
import { meshPlan } from '../../test/support/mesh-plan.ts'

const HOSTS = 10_000

function virtualHost(name: string, weight: number): VirtualHostPlan {
  return {
    host: name,
    requireTls: false,
    routes: Array.from({ length: 5 }, (_, i) => ({
      name: `rule-${i}`,
      origin: { kind: 'VirtualService', namespace: 'default', name, pointer: `/spec/http/${i}` },
      match: { path: { kind: 'prefix', prefix: `/v${i}/`, ignoreCase: false } },
      action: {
        kind: 'forward',
        destinations: [{ cluster: 'outbound|80||shop.example', weight }],
        timeoutMs: null,
        retry: null,
      },
    })),
  }
}

function planOf(virtualHosts: Record<string, VirtualHostPlan>): Plan {
  return {
    mesh: meshPlan(),
    rateLimits: {},
    policies: {
      jwt: [],
      authorization: { custom: [], audit: [], deny: [], allow: null, dryRun: { deny: [], allow: null } },
      authorizationPolicies: [],
    },
    listeners: {},
    routeTables: { 'http.80': { name: 'http.80', port: 80, virtualHosts } },
    clusters: {},
    certificates: {},
    egress: null,
    egressHosts: {},
  }
}

const hosts = Object.fromEntries(
  Array.from({ length: HOSTS }, (_, i) => [`host-${i}.example`, virtualHost(`host-${i}.example`, 1)]),
)
const nothing: Parts = new Map()
const began = performance.now()
const initial = nextParts(planOf(hosts), nothing)
let parts = initial.parts
const first = performance.now() - began
const all = initial.update.set.reduce((sum, [, text]) => sum + text.length, 0)

const times: number[] = []
let sent = 0
for (let round = 0; round < 15; round++) {
  const name = `host-${round}.example`
  const changed = planOf({ ...hosts, [name]: virtualHost(name, 2 + round) })
  const start = performance.now()
  const { parts: next, update } = nextParts(changed, parts)
  times.push(performance.now() - start)
  sent = Math.max(
    sent,
    update.set.reduce((sum, [, text]) => sum + text.length, 0),
  )
  parts = next
}
printTable(
  [`${HOSTS} virtual hosts`, 'ms', 'KiB to a worker'],
  [
    ['the whole plan, once', first, all / 1024],
    ['after a change to one', median(times), sent / 1024],
  ],
)
