import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { MaterialStore } from '../../../src/certificates/material-store.ts'
import type { TlsServerPlan } from '../../../src/plan/listener.ts'
import type { PassthroughPlan } from '../../../src/plan/tcp.ts'
import { TlsServer } from '../../../src/listeners/tls-server.ts'
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
  servers.update(plans, [])
  return servers
}

/** What a client is given that asks for `serverName`. */
function find(servers: TlsServers, serverName: string, alpn: readonly string[] = [], localAddress = '127.0.0.1') {
  return servers.find({ serverName, alpn, ticketName: '', encryptedClientHello: false }, localAddress)
}

/** The server where TLS ends for `serverName`. */
function serverOf(servers: TlsServers, serverName: string): TlsServer {
  const found = find(servers, serverName)
  assert.ok(found instanceof TlsServer)
  return found
}

function nameOf(found: ReturnType<typeof find>): string | undefined {
  return found instanceof TlsServer ? found.plan.name : found?.name
}

function passthrough(
  name: string,
  serverNames: readonly string[],
  more: Partial<PassthroughPlan> = {},
): PassthroughPlan {
  const origin = { kind: 'VirtualService', namespace: 'default', name }
  return { name, serverNames, route: { origin, destinations: [{ cluster: name, weight: 1 }] }, ...more }
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
  for (const [name, wanted] of Object.entries(expected)) assert.equal(nameOf(find(servers, name)), wanted, name)
  assert.equal(find(serversOf(server('a', 'a.test')), ''), null)
})

test('a server stays the same while its plan does, whatever happens beside it', () => {
  const servers = serversOf(server('a', 'a.test'), server('b', 'b.test'))
  const [a, b] = [find(servers, 'a.test'), find(servers, 'b.test')]
  servers.update([server('a', 'a.test'), server('b', 'b.test', 'c.test')], [])
  assert.equal(find(servers, 'a.test'), a)
  assert.notEqual(find(servers, 'b.test'), b)
  servers.update([], [])
  assert.equal(find(servers, 'a.test'), null)
})

test('the most specific name decides, whether its TLS ends here or goes on; the first of a kind has it', () => {
  const servers = serversOf()
  servers.update(
    [server('web', 'web.test'), server('any', '*')],
    [
      passthrough('first', ['a.test', '*.test']),
      passthrough('second', ['a.test', 'web.test', '*']),
      passthrough('narrow', ['*.a.test']),
    ],
  )
  const expected = { 'a.test': 'first', 'x.a.test': 'narrow', 'web.test': 'web', 'b.test': 'first', '': 'any' }
  for (const [name, wanted] of Object.entries(expected)) assert.equal(nameOf(find(servers, name)), wanted, name)
})

test('where the terms of the most specific name do not hold, no wider one is asked', () => {
  const servers = serversOf()
  servers.update(
    [server('any', '*')],
    [
      passthrough('mesh', ['m.test'], { alpn: ['istio', 'istio-h2'] }),
      passthrough('inside', ['n.test'], { destinationSubnets: ['10.0.0.0/8', 'fd00::/8'] }),
      passthrough('anywhere', ['o.test']),
      passthrough('here', ['o.test'], { destinationSubnets: ['127.0.0.0/8'] }),
    ],
  )
  assert.equal(nameOf(find(servers, 'm.test', ['h2', 'istio-h2'])), 'mesh')
  assert.equal(find(servers, 'm.test', ['h2']), null)
  assert.equal(find(servers, 'm.test'), null)
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', 'fd00::1']) {
    assert.equal(nameOf(find(servers, 'n.test', [], address)), 'inside', address)
  }
  assert.equal(find(servers, 'n.test', [], '192.0.2.1'), null)
  assert.equal(nameOf(find(servers, 'o.test')), 'here')
  assert.equal(nameOf(find(servers, 'o.test', [], '192.0.2.1')), 'anywhere')
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
    const [shared, one] = [serverOf(servers, 'a.shop.test'), serverOf(servers, 'one.shop.test')]
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
