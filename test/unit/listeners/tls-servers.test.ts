import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { MaterialStore } from '../../../src/certificates/material-store.ts'
import type { TlsServerPlan } from '../../../src/plan/listener.ts'
import { TlsServers } from '../../../src/listeners/tls-servers.ts'
import { TestCertificates } from '../../support/certificates.ts'
import { skipWithout } from '../../support/requirements.ts'

const timers = { now: () => 0, after: () => () => {} }
const materials = new MaterialStore({
  timers,
  now: Date.now,
  pollMs: 1,
  settleMs: 1,
  mesh: null,
  systemRoots: () => [],
  report: () => {},
})

function server(name: string, ...serverNames: string[]): TlsServerPlan {
  return {
    name,
    serverNames,
    mode: 'SIMPLE',
    certificates: [],
    clientCertificates: null,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    routeTable: name,
  }
}

function serversOf(...plans: TlsServerPlan[]): TlsServers {
  const options = { materials, ticketKeys: () => null, alpn: [], now: Date.now, report: () => {} }
  const servers = new TlsServers(options, () => {})
  servers.update(plans)
  return servers
}

test('exact names go before wildcards, longer wildcards before shorter ones, and all before *', () => {
  const servers = serversOf(
    server('any', '*'),
    server('wide', '*.b.test'),
    server('narrow', '*.a.b.test'),
    server('exact', 'x.a.b.test', 'b.test'),
    server('late', '*', '*.b.test', 'b.test'),
  )
  const expected = {
    'x.a.b.test': 'exact',
    'b.test': 'exact',
    'y.a.b.test': 'narrow',
    'z.y.a.b.test': 'narrow',
    'a.b.test': 'wide',
    'c.b.test': 'wide',
    'ab.test': 'any',
    '.b.test': 'any',
    test: 'any',
    '': 'any',
  }
  for (const [name, wanted] of Object.entries(expected)) assert.equal(servers.find(name)?.plan.name, wanted, name)
  assert.equal(serversOf(server('a', 'a.test')).find(''), null)
})

test('a server stays the same while its plan does, whatever happens beside it', () => {
  const servers = serversOf(server('a', 'a.test'), server('b', 'b.test'))
  const [a, b] = [servers.find('a.test'), servers.find('b.test')]
  servers.update([server('a', 'a.test'), server('b', 'b.test', 'c.test')])
  assert.equal(servers.find('a.test'), a)
  assert.notEqual(servers.find('b.test'), b)
  servers.update([])
  assert.equal(servers.find('a.test'), null)
})

describe('hosts of other servers', { skip: skipWithout('openssl') }, () => {
  const certificates = new TestCertificates()
  after(() => {
    certificates.remove()
  })

  test('a request is misdirected where the certificate of its connection covers the host of another server', () => {
    const own = certificates.authority('own')
    const wild = certificates.leaf(own, ['*.shop.test'])
    const narrow = certificates.leaf(own, ['one.shop.test'])
    for (const [name, { certificate, key }] of Object.entries({ wild, narrow })) {
      materials.setCertificate(name, { name, certificateChain: certificate, privateKey: key })
    }
    const of = (name: string, certificate: string, ...hosts: string[]) => ({
      ...server(name, ...hosts),
      certificates: [certificate],
    })
    const servers = serversOf(
      of('shared', 'wild', 'a.shop.test'),
      of('own', 'narrow', 'one.shop.test'),
      of('other', 'wild', 'b.shop.test', 'other.test'),
    )
    const [shared, one] = [servers.find('a.shop.test')!, servers.find('one.shop.test')!]
    assert.notEqual(shared.end(''), null)
    assert.notEqual(one.end(''), null)
    assert.equal(servers.misdirects('b.shop.test', shared), true)
    assert.equal(servers.misdirects('one.shop.test', shared), true)
    assert.equal(servers.misdirects('b.shop.test', one), false, 'its certificate does not cover the host')
    assert.equal(servers.misdirects('other.test', shared), false, 'nor does this one')
    assert.equal(servers.misdirects('a.shop.test', shared), false, 'its own host')
    assert.equal(servers.misdirects('nobody.shop.test', shared), false, 'no server has it')
  })
})
