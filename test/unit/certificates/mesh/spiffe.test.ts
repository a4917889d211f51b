import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serviceAccountOf, spiffeId } from '../../../../src/certificates/mesh/spiffe.ts'

test('an id is made of trust domain, namespace and service account', () => {
  const workload = { trustDomain: 'cluster.local', namespace: 'edge', serviceAccount: 'sluice' }
  assert.equal(spiffeId(workload), 'spiffe://cluster.local/ns/edge/sa/sluice')
  assert.equal(spiffeId({ ...workload, trustDomain: 'project@corp' }), 'spiffe://project.corp/ns/edge/sa/sluice')
})

for (const piece of ['', 'a/b', 'a b', '..', 'a?b', 'a%2Fb', 'é', '-a', 'a\n']) {
  test(`${JSON.stringify(piece)} cannot be part of an id`, () => {
    assert.throws(() => spiffeId({ trustDomain: 'cluster.local', namespace: piece, serviceAccount: 'sluice' }), {
      kind: 'wrong-identity',
    })
  })
}

const token = (claims: unknown): string => `h.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.s`

const tokens: Record<string, { token: string; account: string | undefined }> = {
  'a token of Kubernetes': { token: token({ sub: 'system:serviceaccount:edge:sluice' }), account: 'sluice' },
  'a token of somebody else': { token: token({ sub: 'joe' }), account: undefined },
  'a token without a subject': { token: token({}), account: undefined },
  'a subject that is no text': { token: token({ sub: 5 }), account: undefined },
  'claims that are null': { token: token(null), account: undefined },
  'claims that are no JSON': { token: 'a.b.c', account: undefined },
  'text without a dot': { token: 'secret', account: undefined },
}

for (const [name, { token, account }] of Object.entries(tokens)) {
  test(`the service account of ${name}: ${account ?? 'unknown'}`, () => {
    assert.equal(serviceAccountOf(token), account)
  })
}
