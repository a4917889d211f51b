/** What one decision of the forward proxy costs with 10,000 ServiceEntries, 2,000 of them wildcards. */
import { EgressDecisions } from '../../src/egress/decision.ts'
import { readTarget } from '../../src/lib/target.ts'
import { hostPlan } from '../../test/unit/egress/plans.ts'

const decisions = new EgressDecisions()
decisions.update({ mode: 'REGISTRY_ONLY', scope: null, clients: [] })
for (let i = 0; i < 8000; i++) decisions.list.set(hostPlan(`host-${i}.region-${i % 40}.partner.example.com`))
for (let i = 0; i < 2000; i++) decisions.list.set(hostPlan(`*.wild-${i}.cdn.example.net`))

const cases: Record<string, (i: number) => string> = {
  'an exact name': (i) => `host-${i % 8000}.region-${(i % 8000) % 40}.partner.example.com`,
  'a name below a wildcard': (i) => `a.b.wild-${i % 2000}.cdn.example.net`,
  'a name that is not listed': (i) => `host-${i % 8000}.region.other.example.org`,
}

const ROUNDS = 400_000
for (const [name, make] of Object.entries(cases)) {
  const authorities = Array.from({ length: 10_000 }, (_, i) => `${make(i)}:443`)
  const targets = authorities.map((authority) => readTarget(authority, null))
  let listed = 0
  const run = (count: number) => {
    for (let i = 0; i < count; i++) if (decisions.decide(targets[i % 10_000]!, '10.0.0.1').kind === 'listed') listed++
  }
  run(ROUNDS / 4)
  const started = process.cpuUsage()
  run(ROUNDS)
  const { user, system } = process.cpuUsage(started)
  const look = (user + system) / ROUNDS
  const read = process.cpuUsage()
  for (let i = 0; i < ROUNDS; i++) readTarget(authorities[i % 10_000]!, null)
  const spent = process.cpuUsage(read)
  console.log(
    `${name.padEnd(28)} look-up ${look.toFixed(3)} µs, reading the authority ${((spent.user + spent.system) / ROUNDS).toFixed(3)} µs`,
  )
}
