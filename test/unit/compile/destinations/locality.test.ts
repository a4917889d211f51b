import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { needsLocality, placeEndpoints, placeOf } from '../../../../src/compile/destinations/locality.ts'
import type { ServiceEndpoint } from '../../../../src/compile/services/service.ts'
import type { LocalityLoadBalancerSetting } from '../../../../src/resources/destination-rule.ts'

const REGION = 'topology.kubernetes.io/region'
const ZONE = 'topology.kubernetes.io/zone'

interface At {
  readonly weight?: number
  readonly network?: string
  readonly labels?: Readonly<Record<string, string>>
}

function at(locality: string, { weight = 1, network, labels = {} }: At = {}): ServiceEndpoint {
  return {
    address: '10.0.0.1',
    port: 80,
    weight,
    labels,
    ...(locality === '' ? {} : { locality }),
    ...(network === undefined ? {} : { network }),
  }
}

const home = placeOf({ locality: 'eu/a/1', labels: null })
const unknown = placeOf({ locality: '', labels: null })

interface FailoverCase {
  readonly endpoints: readonly ServiceEndpoint[]
  readonly setting?: LocalityLoadBalancerSetting
  readonly place?: ReturnType<typeof placeOf>
  readonly hasOutlierDetection?: boolean
  readonly priorities: readonly number[]
}

const failover: Record<string, FailoverCase> = {
  'subzone, zone, region, elsewhere': {
    endpoints: [at('us/a'), at('eu/b'), at('eu/a/2'), at('eu/a/1')],
    priorities: [3, 2, 1, 0],
  },
  'priorities have no gaps': { endpoints: [at('us/a'), at('eu/a/1')], priorities: [1, 0] },
  'an endpoint of which nothing is known is elsewhere': { endpoints: [at(''), at('eu')], priorities: [1, 0] },
  'a zone without a region is in the gateway’s region': {
    endpoints: [at('/a/1'), at('/b'), at('us')],
    priorities: [0, 1, 2],
  },
  'the region that failover names comes before the others': {
    endpoints: [at('ap'), at('us'), at('eu')],
    setting: { failover: [{ from: 'eu', to: 'us' }] },
    priorities: [2, 1, 0],
  },
  'failover from another region says nothing': {
    endpoints: [at('ap'), at('us')],
    setting: { failover: [{ from: 'us', to: 'ap' }] },
    priorities: [0, 0],
  },
  'nothing is kept back without outlier detection': {
    endpoints: [at('us'), at('eu/a/1')],
    hasOutlierDetection: false,
    priorities: [0, 0],
  },
  'nothing is kept back when it is switched off': {
    endpoints: [at('us'), at('eu/a/1')],
    setting: { enabled: false },
    priorities: [0, 0],
  },
  'a gateway that does not know where it is keeps nothing back': {
    endpoints: [at('us'), at('')],
    place: unknown,
    priorities: [0, 0],
  },
  'the earlier a label differs, the later the endpoint': {
    endpoints: [
      at('us', { labels: { version: 'v1' } }),
      at('eu/b', { labels: { version: 'v1' } }),
      at('eu/a', { labels: { version: 'v2' } }),
      at('eu/a', { labels: { version: 'v1' } }),
    ],
    setting: { failoverPriority: ['version=v1', REGION, ZONE] },
    priorities: [2, 1, 3, 0],
  },
  'a label that neither side has is the same': {
    endpoints: [at('us'), at('eu')],
    setting: { failoverPriority: ['rack', REGION] },
    priorities: [1, 0],
  },
  'a network counts as a label': {
    endpoints: [at('', { network: 'two' }), at('', { network: 'one' })],
    setting: { failoverPriority: ['topology.istio.io/network'] },
    place: placeOf({ locality: '', labels: { 'topology.istio.io/network': 'one' } }),
    priorities: [1, 0],
  },
  'with failover beside failoverPriority distance decides among equals': {
    endpoints: [at('ap'), at('us'), at('eu', { labels: { version: 'v2' } }), at('eu/b', { labels: { version: 'v1' } })],
    setting: { failoverPriority: ['version=v1'], failover: [{ from: 'eu', to: 'us' }] },
    priorities: [3, 2, 1, 0],
  },
}

for (const [name, one] of Object.entries(failover)) {
  test(`failover: ${name}`, () => {
    const { endpoints, setting = {}, place = home, hasOutlierDetection = true, priorities } = one
    const placed = placeEndpoints(endpoints, setting, hasOutlierDetection, place)
    assert.deepEqual(
      placed.map(({ priority = 0 }) => priority),
      priorities,
    )
  })
}

const distribute: Record<
  string,
  { to: Record<string, number>; from?: string; endpoints: readonly ServiceEndpoint[]; weights: readonly number[] }
> = {
  'shares are those of localities, however many endpoints they have': {
    to: { 'eu/a': 80, 'eu/b': 20 },
    endpoints: [at('eu/a'), at('eu/a'), at('eu/b')],
    weights: [2, 2, 1],
  },
  'weights divide a share': {
    to: { 'eu/*': 50, 'us/*': 50 },
    endpoints: [at('eu/a', { weight: 1 }), at('eu/b', { weight: 4 }), at('us')],
    weights: [1, 4, 5],
  },
  'a weight may be a fraction': {
    to: { eu: 60, us: 40 },
    endpoints: [at('eu'), at('us')],
    weights: [1.5, 1],
  },
  'localities that are not listed get nothing': { to: { us: 100 }, endpoints: [at('eu'), at('')], weights: [] },
  'a share that no endpoint is in goes to the others': { to: { us: 90, eu: 10 }, endpoints: [at('eu')], weights: [1] },
  'an entry for another place changes nothing': {
    from: 'us/*',
    to: { us: 100 },
    endpoints: [at('eu'), at('us', { weight: 7 })],
    weights: [1, 7],
  },
}

for (const [name, { to, from = 'eu/a/*', endpoints, weights }] of Object.entries(distribute)) {
  test(`distribute: ${name}`, () => {
    const placed = placeEndpoints(endpoints, { distribute: [{ from, to }] }, false, home)
    assert.deepEqual(
      placed.map(({ weight }) => weight),
      weights,
    )
  })
}

test('distribute: sums of weights are in the proportion of the shares, and none is below 1', () => {
  const endpoint = fc.record({ region: fc.constantFrom('eu', 'us'), weight: fc.integer({ min: 1, max: 1000 }) })
  fc.assert(
    fc.property(fc.array(endpoint, { maxLength: 20 }), fc.integer({ min: 1, max: 99 }), (all, share) => {
      const endpoints = all.map(({ region, weight }) => at(region, { weight }))
      const to = { eu: share, us: 100 - share }
      const placed = placeEndpoints(endpoints, { distribute: [{ from: '*', to }] }, false, unknown)
      assert.ok(placed.every(({ weight }) => weight >= 1))
      const sumOf = (region: string) =>
        placed.filter(({ locality }) => locality === region).reduce((sum, { weight }) => sum + weight, 0)
      const [eu, us] = [sumOf('eu'), sumOf('us')]
      if (eu > 0 && us > 0) assert.ok(Math.abs(eu / us / (share / (100 - share)) - 1) < 1e-4, `${eu} : ${us}`)
    }),
  )
})

test('the gateway’s place is its locality, else its labels say it', () => {
  const labels = { [REGION]: 'eu', [ZONE]: 'a', 'topology.istio.io/subzone': '1', app: 'gateway' }
  const locality = { region: 'eu', zone: 'a', subzone: '1' }
  assert.deepEqual(placeOf({ locality: '', labels }), { locality, labels })
  assert.deepEqual(placeOf({ locality: 'us', labels }).locality, { region: 'us', zone: '', subzone: '' })
  assert.equal(placeOf({ locality: 'us', labels }).labels[REGION], 'us')
})

test('settings that go by the gateway’s own place need it', () => {
  assert.equal(needsLocality({}), false)
  assert.equal(needsLocality({ distribute: [{ from: '*', to: { eu: 100 } }] }), false)
  assert.equal(needsLocality({ distribute: [{ from: 'eu', to: { eu: 100 } }] }), true)
  assert.equal(needsLocality({ failover: [{ from: 'eu', to: 'us' }] }), true)
  assert.equal(needsLocality({ failover: [{ from: 'eu', to: 'us' }], enabled: false }), false)
  assert.equal(needsLocality({ failoverPriority: [`${REGION}=eu`, 'version'] }), false)
  assert.equal(needsLocality({ failoverPriority: [REGION] }), true)
})
