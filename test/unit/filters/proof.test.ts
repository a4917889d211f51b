import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compile } from '../../../src/compile/compile.ts'
import { defaultCompileOptions } from '../../../src/compile/options.ts'
import type { Exchange } from '../../../src/exchange/exchange.ts'
import { compilePolicies, type PoliciesDeps } from '../../../src/filters/policies.ts'
import { provePolicies } from '../../../src/filters/proof.ts'
import type { Filter } from '../../../src/filters/filter.ts'
import { hostWithoutPort } from '../../../src/listeners/admission.ts'
import type { PoliciesPlan } from '../../../src/plan/policy.ts'
import { parseObject } from '../../../src/resources/parse.ts'
import { EMPTY_SNAPSHOT } from '../../../src/resources/snapshot.ts'
import type { AuthorizationPolicy, AuthorizationPolicySpec } from '../../../src/resources/authorization-policy.ts'
import type { RequestAuthentication } from '../../../src/resources/request-authentication.ts'
import { KeyStore } from '../../../src/tokens/key-store.ts'
import { fetching } from '../../../src/tokens/remote-keys.ts'
import { meshPlan } from '../../support/mesh-plan.ts'
import { manualTime } from '../certificates/mesh/manual-time.ts'
import { keySetText, testKey } from '../tokens/make-token.ts'

type Spec = AuthorizationPolicySpec & { readonly trial?: boolean }

const fetched: string[] = []

function planOf(specs: readonly Spec[], jwtRules: readonly object[] = []): PoliciesPlan {
  const read = (kind: string, name: string, spec: object, annotations: object = {}) => {
    const metadata = { name, namespace: 'istio-system', annotations }
    const { resource, problems } = parseObject({ apiVersion: 'security.istio.io/v1', kind, metadata, spec })
    assert.ok(resource !== undefined, JSON.stringify(problems))
    return resource
  }
  const snapshot = {
    ...EMPTY_SNAPSHOT,
    authorizationPolicies: specs.map(
      ({ trial, ...spec }, index) =>
        read(
          'AuthorizationPolicy',
          `p${index}`,
          spec,
          trial === true ? { 'istio.io/dry-run': 'true' } : {},
        ) as AuthorizationPolicy,
    ),
    requestAuthentications:
      jwtRules.length === 0 ? [] : [read('RequestAuthentication', 'tokens', { jwtRules }) as RequestAuthentication],
  }
  return compile(snapshot, defaultCompileOptions()).plan.policies
}

async function prove(plan: PoliciesPlan, change: (filter: Filter | null) => Filter | null = (filter) => filter) {
  const { timers } = manualTime(0)
  const told: Exchange[] = []
  const tried: Exchange[] = []
  const keys = new KeyStore(
    fetching({
      timers,
      now: () => 0,
      random: () => 0,
      fetchText: (uri) => {
        fetched.push(uri)
        return new Promise(() => {})
      },
      cache: null,
      maxAgeMs: 0,
      log: { info: () => {}, warn: () => {} },
    }),
  )
  const deps: PoliciesDeps = {
    keys,
    onAuthorizationEvent: (exchange) => {
      told.push(exchange)
    },
    checkRateLimits: () => assert.fail('a made-up request must not count'),
    compileExtAuthz: () => () => assert.fail('nobody is to be asked'),
    onPolicyError: (error) => assert.fail(String(error)),
  }
  const { ownFilter } = compilePolicies(plan, deps)
  const proofs = await provePolicies(plan, {
    filter: change(ownFilter),
    epoch: { mesh: meshPlan(), generation: '1', generationHeader: null },
    hostOf: hostWithoutPort,
    onTry: (exchange) => {
      tried.push(exchange)
    },
  })
  keys.close()
  assert.ok(told.every((exchange) => tried.includes(exchange)))
  return proofs.map(({ name, state, because }) => ({ name, state, because }))
}

const to = (operation: object) => ({ to: [{ operation }] })
const from = (source: object) => ({ from: [{ source }] })
const when = (key: string, values: readonly string[]) => ({ when: [{ key, values }] })

for (const [what, rule] of Object.entries<object>({
  everything: {},
  'exact path': to({ paths: ['/admin'] }),
  'prefix and not': to({ paths: ['/admin*'], notPaths: ['/admin/open'] }),
  'the second value, as the first is excepted': to({ paths: ['/a', '/b'], notPaths: ['/a'] }),
  template: to({ paths: ['/users/{*}/orders/{**}'] }),
  method: to({ methods: ['DELETE'] }),
  'not a method': to({ notMethods: ['GET'] }),
  hosts: to({ hosts: ['*.Shop.test', 'x.test:*'] }),
  ports: to({ ports: ['8443'] }),
  'not a port': to({ notPorts: ['80'] }),
  addresses: { ...from({ ipBlocks: ['10.0.0.0/8'], notRemoteIpBlocks: ['10.0.0.0/8'] }) },
  IPv6: from({ remoteIpBlocks: ['2001:db8::/32'] }),
  'a principal': from({ requestPrincipals: ['https://issuer.test/*'] }),
  'no token': from({ notRequestPrincipals: ['*'] }),
  header: when('request.headers[X-Role]', ['*admin']),
  'two claims': {
    when: [
      { key: 'request.auth.claims[org][team]', values: ['blue'] },
      { key: 'request.auth.claims[org][role]', values: ['x*'] },
    ],
  },
  audience: when('request.auth.audiences', ['web']),
  presenter: when('request.auth.presenter', ['app']),
  'a certificate': from({ principals: ['cluster.local/ns/shop/sa/buyer'] }),
  'any certificate': from({ principals: ['*'] }),
  'a namespace of another trust domain': from({ namespaces: ['shop*'], trustDomains: ['other.test'] }),
  'a service account': from({ serviceAccounts: ['shop/buyer'] }),
  'no certificate': from({ notPrincipals: ['*'] }),
  'server name': when('connection.sni', ['shop.test']),
  'local address': when('destination.ip', ['10.1.0.0/16']),
  'the second of two operations, where the first cannot be': {
    to: [{ operation: { methods: ['GET'], notMethods: ['GET'] } }, { operation: { paths: ['/x'] } }],
  },
})) {
  test(`a DENY policy is proven by a request that its rule refused: ${what}`, async () => {
    const [proof] = await prove(planOf([{ action: 'DENY', rules: [rule] }]))
    assert.deepEqual(proof, {
      name: 'p0',
      state: 'proven',
      because: 'ns[istio-system]-policy[p0]-rule[0] refused a request',
    })
  })
}

for (const [what, rules] of Object.entries<readonly object[]>({
  'nothing is allowed': [],
  'a path': [to({ paths: ['/open'] })],
  'all but a path': [to({ notPaths: ['/admin'] })],
  'all methods but one': [to({ notMethods: ['DELETE'] })],
  'all but some addresses': [from({ notRemoteIpBlocks: ['203.0.113.0/24'] })],
})) {
  test(`an ALLOW policy is proven by a request that it did not allow: ${what}`, async () => {
    const [proof] = await prove(planOf([{ action: 'ALLOW', rules: rules as NonNullable<Spec['rules']> }]))
    assert.equal(proof?.state, 'proven', String(proof?.because))
  })
}

for (const [what, spec, because] of [
  ['ALLOW everything', { action: 'ALLOW', rules: [{}] }, /do not match/],
  ['a contradiction', { action: 'DENY', rules: [to({ paths: ['/a'], notPaths: ['/a'] })] }, /could be made up/],
  ['a trial', { action: 'DENY', rules: [{}], trial: true }, /on trial/],
  ['an audit', { action: 'AUDIT', rules: [{}] }, /decides nothing/],
] as const) {
  test(`a policy without a request that shows it is only loaded: ${what}`, async () => {
    const [proof] = await prove(planOf([spec as unknown as Spec]))
    assert.equal(proof?.state, 'loaded')
    assert.match(String(proof?.because), because)
  })
}

test('a policy behind another that refuses the same is only loaded', async () => {
  const proofs = await prove(
    planOf([
      { action: 'DENY', rules: [{}] },
      { action: 'DENY', rules: [{}] },
    ]),
  )
  assert.deepEqual(
    proofs.map(({ state }) => state),
    ['proven', 'loaded'],
  )
  assert.match(
    proofs[1]!.because,
    /refused before it is asked \(rbac_access_denied_matched_policy\[ns\[istio-system\]-policy\[p0\]/,
  )
})

test('requests that an authorizer is missing for are refused, which proves the policy', async () => {
  const [proof] = await prove(planOf([{ action: 'CUSTOM', provider: { name: 'nobody' }, rules: [{}] }]))
  assert.equal(proof?.state, 'proven', String(proof?.because))
})

test('a RequestAuthentication is proven by bad tokens wherever it looks for them, and no keys are asked for', async () => {
  const jwks = keySetText(await testKey('ES256'))
  const rules = [
    { issuer: 'a', jwks },
    {
      issuer: 'b',
      jwks,
      fromHeaders: [{ name: 'x-token', prefix: 'JWT ' }],
      fromCookies: ['session'],
      fromParams: ['t'],
    },
  ]
  const [proof] = await prove(planOf([], rules))
  assert.deepEqual(proof, {
    name: 'tokens',
    state: 'proven',
    because: 'bad tokens were refused wherever it looks for them',
  })
  fetched.length = 0
  await prove(planOf([], [{ issuer: 'c', jwksUri: 'https://issuer.test/keys' }]))
  assert.deepEqual(fetched, ['https://issuer.test/keys'], 'fetched ahead of need, and once')
})

test('a header that only a good token fills cannot be made up', async () => {
  const jwks = keySetText(await testKey('ES256'))
  const rules = [{ issuer: 'a', jwks, outputClaimToHeaders: [{ header: 'x-role', claim: 'role' }] }]
  const [proof] = await prove(planOf([{ action: 'DENY', rules: [when('request.headers[x-role]', ['admin'])] }], rules))
  assert.equal(proof?.state, 'loaded')
  assert.match(String(proof?.because), /comes with a good token alone/)
})

test('policies that let through what they have to refuse have failed', async () => {
  const specs: Spec[] = [
    { action: 'DENY', rules: [to({ paths: ['/a'] })] },
    { action: 'ALLOW', rules: [to({ paths: ['/b'] })] },
  ]
  const jwks = keySetText(await testKey('ES256'))
  for (const filter of [null, () => undefined]) {
    const proofs = await prove(planOf(specs, [{ issuer: 'a', jwks }]), () => filter)
    assert.deepEqual(
      proofs.map(({ state }) => state),
      ['failed', 'failed', 'failed'],
    )
  }
})
