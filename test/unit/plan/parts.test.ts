import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allParts, contentHash, nextParts, type Parts } from '../../../src/plan/parts.ts'
import type { Plan } from '../../../src/plan/plan.ts'
import type { VirtualHostPlan } from '../../../src/plan/route.ts'

function virtualHost(host: string, requireTls = false): VirtualHostPlan {
  return { host, requireTls, routes: [] }
}

function plan(...hosts: readonly VirtualHostPlan[]): Plan {
  const virtualHosts = Object.fromEntries(hosts.map((one) => [one.host, one]))
  return {
    mesh: MESH,
    policies: POLICIES,
    rateLimits: {},
    listeners: {},
    routeTables: { 'http.80': { name: 'http.80', port: 80, virtualHosts } },
    clusters: {},
    certificates: {},
    egress: null,
    egressHosts: {},
  }
}

const POLICIES = { jwt: [] } as unknown as Plan['policies']
const MESH = { http10: false } as unknown as Plan['mesh']
const NONE: Parts = new Map()
const keys = (set: readonly (readonly [string, string])[]) => set.map(([key]) => key)

test('all parts of the first plan are new', () => {
  const { update } = nextParts(plan(virtualHost('a.test')), NONE)
  assert.deepEqual(update, {
    set: [
      ['mesh', '{"http10":false}'],
      ['policies', '{"jwt":[]}'],
      ['vhost/http.80/a.test', '{"host":"a.test","requireTls":false,"routes":[]}'],
    ],
    remove: [],
  })
})

test('parts with the same content are not sent again, whether or not they are the same objects', () => {
  const host = virtualHost('a.test')
  const { parts } = nextParts(plan(host), NONE)
  assert.deepEqual(nextParts(plan(host), parts).update, { set: [], remove: [] })
  assert.deepEqual(nextParts(plan(virtualHost('a.test')), parts).update, { set: [], remove: [] })
})

test('what changed is sent, what is gone is removed', () => {
  const { parts } = nextParts(plan(virtualHost('a.test'), virtualHost('b.test')), NONE)
  const { update } = nextParts(plan(virtualHost('a.test', true), virtualHost('c.test')), parts)
  assert.deepEqual(keys(update.set), ['vhost/http.80/a.test', 'vhost/http.80/c.test'])
  assert.deepEqual(update.remove, ['vhost/http.80/b.test'])
})

test('all parts are what was ever sent, put together', () => {
  const { parts } = nextParts(plan(virtualHost('a.test'), virtualHost('b.test')), NONE)
  const changed = plan(virtualHost('a.test'), virtualHost('b.test', true))
  const after = nextParts(changed, parts).parts
  assert.deepEqual(allParts(after), nextParts(changed, NONE).update)
})

test('the content hash tells plans apart, and does not depend on their order or on what came before', () => {
  const [a, b] = [virtualHost('a.test'), virtualHost('b.test')]
  const one = nextParts(plan(a, b), NONE).parts
  const other = nextParts(plan(b, a), nextParts(plan(a), NONE).parts).parts
  assert.equal(contentHash(one), contentHash(other))
  assert.notEqual(contentHash(one), contentHash(nextParts(plan(a), NONE).parts))
  assert.notEqual(contentHash(one), contentHash(nextParts(plan(a, virtualHost('b.test', true)), NONE).parts))
})
