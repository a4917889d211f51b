import assert from 'node:assert/strict'
import { test } from 'node:test'
import { identityOf } from '../../../src/observability/mesh-identity.ts'

const UNKNOWN = {
  workload: 'unknown',
  namespace: 'unknown',
  app: 'unknown',
  version: 'unknown',
  canonicalService: 'unknown',
  canonicalRevision: 'latest',
  cluster: 'unknown',
}

const cases: Record<string, { labels: Record<string, string>; workload?: string; is: Partial<typeof UNKNOWN> }> = {
  'what is missing is unknown, a missing revision latest': { labels: {}, is: {} },
  'app and version are the canonical ones without anything better': {
    labels: { app: 'shop', version: 'v1' },
    is: { app: 'shop', version: 'v1', namespace: 'ns', canonicalService: 'shop', canonicalRevision: 'v1' },
  },
  'Kubernetes’ recommended labels come before app and version': {
    labels: { app: 'a', version: 'v1', 'app.kubernetes.io/name': 'b', 'app.kubernetes.io/version': 'v2' },
    is: { app: 'a', version: 'v1', namespace: 'ns', canonicalService: 'b', canonicalRevision: 'v2' },
  },
  'Istio’s own labels come first': {
    labels: { app: 'a', 'service.istio.io/canonical-name': 'c', 'service.istio.io/canonical-revision': 'r' },
    is: { app: 'a', namespace: 'ns', canonicalService: 'c', canonicalRevision: 'r' },
  },
  'a workload that is known by name is the canonical service without labels': {
    labels: { 'topology.istio.io/cluster': 'east' },
    workload: 'w',
    is: { workload: 'w', namespace: 'ns', canonicalService: 'w', cluster: 'east' },
  },
}

for (const [name, { labels, workload, is }] of Object.entries(cases)) {
  test(`identityOf: ${name}`, () => {
    assert.deepEqual(identityOf(labels, 'ns', workload), { ...UNKNOWN, ...is })
  })
}
