import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseObject } from '../../../src/resources/parse.ts'
import { KINDS } from '../../../src/resources/registry.ts'

const networking = 'networking.istio.io/v1'
const rule = { route: [{ destination: { host: 'reviews' } }] }

function virtualService(spec: object, metadata: object = { name: 'a' }): object {
  return { apiVersion: networking, kind: 'VirtualService', metadata, spec: { hosts: ['a.com'], http: [rule], ...spec } }
}

function summary(value: unknown): string[] {
  return parseObject(value).problems.map(
    ({ severity, code, origin, message, remedy }) =>
      `${severity} ${code} ${origin.pointer ?? ''}: ${message}${remedy === undefined ? '' : ` | ${remedy}`}`,
  )
}

test('an object without a namespace is in "default" and has empty labels and annotations', () => {
  const { resource, problems } = parseObject(virtualService({}))
  assert.deepEqual(problems, [])
  assert.deepEqual(resource?.metadata, { name: 'a', namespace: 'default', labels: {}, annotations: {} })
})

test('status and managedFields are left behind', () => {
  const value = virtualService(
    {},
    { name: 'a', managedFields: [{}], uid: 'x', creationTimestamp: '2026-01-01T00:00:00Z' },
  )
  const { resource, problems } = parseObject({ ...value, status: { anything: true } })
  assert.deepEqual(problems, [])
  assert.deepEqual(Object.keys(resource ?? {}), ['apiVersion', 'kind', 'metadata', 'spec'])
  assert.deepEqual(resource?.metadata.creationTimestamp, '2026-01-01T00:00:00Z')
  assert.ok(!('uid' in (resource?.metadata ?? {})))
})

test('a Namespace is in no namespace', () => {
  const { resource } = parseObject({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { a: 'b' } },
  })
  assert.deepEqual(resource?.metadata, { name: 'shop', namespace: '', labels: { a: 'b' }, annotations: {} })
})

const messages: Record<string, { value: unknown; problems: string[] }> = {
  'a value that is no object': {
    value: [],
    problems: ['error schema/type : expected an object with apiVersion and kind'],
  },
  'no kind': { value: {}, problems: ['error schema/required : "kind" is missing'] },
  'no apiVersion': { value: { kind: 'Gateway' }, problems: ['error schema/required : "apiVersion" is missing'] },
  'no metadata': {
    value: { apiVersion: networking, kind: 'Gateway' },
    problems: ['error schema/required : "metadata" with a "name" is missing'],
  },
  'a name that is a number': {
    value: virtualService({}, { name: 7 }),
    problems: ['error schema/type /metadata/name: expected a text, found 7 | Put it in quotes: "7".'],
  },
  'a name with capitals': {
    value: virtualService({}, { name: 'Shop' }),
    problems: [
      'error metadata/name /metadata/name: "Shop" is not a name: lower-case letters, digits, "-" and "." make one',
    ],
  },
  'a label that is a number': {
    value: virtualService({}, { name: 'a', labels: { version: 1 } }),
    problems: ['error schema/type /metadata/labels/version: expected a text, found 1 | Put it in quotes: "1".'],
  },
  'a mistyped kind': {
    value: { apiVersion: networking, kind: 'VirtualServce', metadata: { name: 'a' } },
    problems: [
      'error kind/unknown /kind: there is no kind "VirtualServce" in networking.istio.io/v1 | Did you mean VirtualService?',
    ],
  },
  'a kind of another group': {
    value: { apiVersion: networking, kind: 'AuthorizationPolicy', metadata: { name: 'a' } },
    problems: [
      'error kind/unknown /kind: there is no kind "AuthorizationPolicy" in networking.istio.io/v1 | AuthorizationPolicy is in security.istio.io/v1',
    ],
  },
  'an unknown version': {
    value: { apiVersion: 'networking.istio.io/v2', kind: 'Gateway', metadata: { name: 'a' } },
    problems: [
      'error kind/unknown /apiVersion: Gateway has no version "networking.istio.io/v2" | Write networking.istio.io/v1.',
    ],
  },
  'a kind without effect': {
    value: { apiVersion: 'networking.istio.io/v1alpha3', kind: 'EnvoyFilter', metadata: { name: 'a' } },
    problems: [
      'warning kind/no-effect : EnvoyFilter has no effect here | This gateway is not Envoy; it reads the other kinds of Istio.',
    ],
  },
  "a Deployment is nobody's business": {
    value: { apiVersion: 'apps/v1', kind: 'Deployment', metadata: {} },
    problems: [],
  },
  'a Service of Knative is another kind': {
    value: { apiVersion: 'serving.knative.dev/v1', kind: 'Service' },
    problems: [],
  },
  'a field that does not exist': {
    value: virtualService({ gateway: ['main'] }),
    problems: [
      'warning schema/unknown-field /spec/gateway: there is no field "gateway" here; it has no effect | Did you mean "gateways"?',
    ],
  },
  'a field beside spec': {
    value: { ...virtualService({}), gateways: ['main'] },
    problems: [
      'warning schema/unknown-field /gateways: there is no field "gateways" beside "spec"; it has no effect | Indent it under "spec:".',
    ],
  },
  'a text instead of a list': {
    value: virtualService({ hosts: 'a.com' }),
    problems: ['error schema/type /spec/hosts: expected a list, found the text "a.com" | Begin each entry with "- ".'],
  },
  'a number in quotes': {
    value: virtualService({ http: [{ ...rule, match: [{ port: '80' }] }] }),
    problems: [
      'error schema/type /spec/http/0/match/0/port: expected a whole number, 0 or more, found the text "80" | Write it without quotes.',
    ],
  },
  'a number instead of a text': {
    value: virtualService({ http: [{ name: 5, ...rule }] }),
    problems: ['error schema/type /spec/http/0/name: expected a text, found the number 5 | Put it in quotes: "5".'],
  },
  'a duration without a unit': {
    value: virtualService({ http: [{ ...rule, timeout: 5 }] }),
    problems: [
      'error schema/type /spec/http/0/timeout: expected a duration such as "1.5s", "250ms" or "1h30m", found the number 5 | Give it a unit: "5s", say.',
    ],
  },
  'a mistyped word': {
    value: {
      apiVersion: networking,
      kind: 'ServiceEntry',
      metadata: { name: 'a' },
      spec: { hosts: ['a.com'], resolution: 'dns' },
    },
    problems: [
      'error schema/type /spec/resolution: expected one of NONE, STATIC, DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS; found the text "dns" | Did you mean DNS?',
    ],
  },
  'a missing field': {
    value: virtualService({ http: [{ route: [{ destination: {} }] }] }),
    problems: ['error schema/required /spec/http/0/route/0/destination: "host" is missing'],
  },
  'a key that would change a prototype': {
    value: JSON.parse(
      JSON.stringify(virtualService({ http: [{ ...rule, match: [{ headers: { x: {} } }] }] })).replace(
        '"x"',
        '"__proto__"',
      ),
    ),
    problems: ['error schema/value /spec/http/0/match/0/headers/__proto__: this name cannot be used as a key'],
  },
}

for (const [name, { value, problems }] of Object.entries(messages)) {
  test(`parseObject says what is wrong: ${name}`, () => assert.deepEqual(summary(value), problems))
}

test('null stands for absent, and unknown fields are left out', () => {
  const { resource, problems } = parseObject(
    virtualService({ exportTo: null, gateways: ['a'], nonsense: 1, http: [{ ...rule, timeout: null }] }),
  )
  assert.deepEqual(
    problems.map(({ severity }) => severity),
    ['warning'],
  )
  assert.deepEqual(resource?.spec, { hosts: ['a.com'], gateways: ['a'], http: [rule] })
})

test('a value is not changed by reading it', () => {
  const value = virtualService({ exportTo: null, nonsense: 1 })
  const before = structuredClone(value)
  parseObject(value)
  assert.deepEqual(value, before)
})

test('a refused policy says whom it was for', () => {
  const { resource, identity } = parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'a', namespace: 'b' },
    spec: { selector: { matchLabels: { app: 'x' } }, action: 'FORBID' },
  })
  assert.equal(resource, undefined)
  assert.deepEqual(identity?.matchLabels, { app: 'x' })
  assert.equal(identity?.key, 'AuthorizationPolicy/b/a')
})

const secret = (body: object) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'a' }, ...body })

test('stringData of a Secret becomes data in base64, and wins', () => {
  const { resource } = parseObject(secret({ data: { a: 'b2xk', b: 'Yg==' }, stringData: { a: 'new' } }))
  assert.deepEqual(resource?.spec, { type: 'Opaque', data: { a: 'bmV3', b: 'Yg==' } })
})

test('no problem of a Secret quotes a value', () => {
  const bodies = [
    { data: { key: 'TOP SECRET' } },
    { data: { key: ['TOP SECRET'] } },
    { data: 'TOP SECRET' },
    { data: { key: 4711 } },
    { stringData: { key: 4711 } },
    { type: 4711, data: { key: 'TOP SECRET' } },
  ]
  for (const body of bodies) {
    const { problems, resource } = parseObject(secret(body))
    assert.equal(resource, undefined)
    assert.ok(problems.length > 0)
    assert.doesNotMatch(JSON.stringify(problems), /TOP SECRET|4711/)
  }
})

test('a TLS Secret needs its key', () => {
  assert.equal(parseObject(secret({ type: 'kubernetes.io/tls', data: { 'tls.crt': '' } })).resource, undefined)
})

test('an EndpointSlice is read from beside its metadata', () => {
  const { resource, problems } = parseObject({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'a' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true }, nodeName: null }],
    ports: [{ name: '', port: 80, appProtocol: null }],
  })
  assert.deepEqual(problems, [])
  assert.deepEqual(resource?.spec, {
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'], conditions: { ready: true } }],
    ports: [{ name: '', port: 80 }],
  })
})

test('fields of a Service that a gateway does not know are no problem', () => {
  const value = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a' },
    spec: { sessionAffinity: 'None', ports: [{ port: 80, targetPort: 'http' }] },
  }
  assert.deepEqual(parseObject(value).problems, [])
})

test('an object that is wrong everywhere has a bounded number of problems', () => {
  const { problems } = parseObject(virtualService({ hosts: Array.from({ length: 5000 }, () => 'a b') }))
  assert.ok(problems.length > 0 && problems.length <= 60)
})

test('no JSON value makes parseObject throw', () => {
  const kinds = Object.values(KINDS).flatMap(({ group, versions, kind }) =>
    versions.map((version) => ({ apiVersion: group === '' ? version : `${group}/${version}`, kind })),
  )
  const object = fc.tuple(fc.constantFrom(...kinds), fc.jsonValue(), fc.jsonValue()).map(([kind, metadata, body]) => ({
    ...kind,
    metadata: { name: 'a', ...(typeof metadata === 'object' && !Array.isArray(metadata) ? metadata : {}) },
    spec: body,
    ...(typeof body === 'object' && !Array.isArray(body) ? body : {}),
  }))
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), object), (value) => void parseObject(value)),
    { numRuns: 500 },
  )
})

test('no field of any schema, whatever its value, makes parseObject throw', () => {
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom<unknown>('*', '', '0s', '(', '%', -1, 1e308, [null], { '': {} }, { __proto__: null }),
  )
  for (const entry of Object.values(KINDS)) {
    const names = [...JSON.stringify(entry.schema).matchAll(/"(\w+)":\{/g)].map(([, name]) => name ?? '')
    const tree = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 5 },
        value,
        fc.dictionary(fc.constantFrom(...names), tie('node'), { maxKeys: 4 }),
        fc.array(tie('node'), { maxLength: 2 }),
      ),
    })).node
    fc.assert(
      fc.property(tree, (spec) => {
        const apiVersion = entry.group === '' ? 'v1' : `${entry.group}/${entry.versions[0]}`
        const root = entry.body === 'root' && typeof spec === 'object' ? spec : {}
        parseObject({ apiVersion, kind: entry.kind, metadata: { name: 'a' }, spec, ...root })
      }),
      { numRuns: 60 },
    )
  }
})
