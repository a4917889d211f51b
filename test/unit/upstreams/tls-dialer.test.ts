import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import type { TlsTransport } from '../../../src/plan/cluster.ts'
import { withoutCertificateDetails } from '../../../src/upstreams/connect-failure.ts'
import type { KeyPairFiles } from '../../support/certificates.ts'
import { eventually } from '../../support/live.ts'
import { skipWithout } from '../../support/requirements.ts'
import { SPIFFE, TlsBench } from './tls-bench.ts'
import { request } from './tls-peer.ts'

const VERIFY = 'TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: '

describe('TLS to upstreams', { skip: skipWithout('openssl') }, () => {
  const bench = new TlsBench()
  const { made, ca, otherCa } = bench
  after(() => bench.close())

  const accepted: Record<string, { changes?: Partial<TlsTransport>; host?: string }> = {
    'one of the subject alternative names is enough': { changes: { subjectAltNames: ['other.test', 'alt.test'] } },
    'a SPIFFE ID is a subject alternative name': { changes: { subjectAltNames: [SPIFFE] } },
    'an IP address is a subject alternative name': { changes: { subjectAltNames: ['127.0.0.1'] } },
    'a wildcard of the certificate covers one label': { changes: { subjectAltNames: ['a.wild.test'] } },
    'with SNI and no subject alternative names the chain alone counts': {
      changes: { sni: 'unknown.test', subjectAltNames: [] },
    },
    'without SNI the Host has to be in the certificate': {
      changes: { sni: null, subjectAltNames: [] },
      host: 'ALT.test:8443',
    },
    'without SNI an IP address as Host has to be in it too': {
      changes: { sni: null, subjectAltNames: [] },
      host: '127.0.0.1:8443',
    },
  }
  for (const [name, { changes, host }] of Object.entries(accepted)) {
    test(name, async () => {
      const { outcome, detail } = await bench.ask(await bench.peer(), changes, host)
      assert.deepEqual([outcome, detail], ['200', ''])
    })
  }

  const told = '[peer.test, alt.test, *.wild.test, 127.0.0.1, spiffe://cluster.local/ns/shop/sa/cart]'
  const refused: Record<string, { own?: KeyPairFiles; changes?: Partial<TlsTransport>; host?: string; why: RegExp }> = {
    'another authority is refused': {
      changes: { trust: { kind: 'file', path: otherCa.certificateFile } },
      why: /unable to (get local issuer certificate|verify the first certificate)/,
    },
    'a certificate that has expired is refused': {
      own: made.leaf(ca, ['peer.test'], { validity: 'expired' }),
      why: /certificate has expired/,
    },
    'a certificate that is not valid yet is refused': {
      own: made.leaf(ca, ['peer.test'], { validity: 'future' }),
      why: /certificate is not yet valid/,
    },
    'other names are refused': {
      changes: { subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/cart2', 'peer.test.evil.test'] },
      why: new RegExp(RegExp.escape(`SAN matcher, certificate SANs are ${told}`)),
    },
    'the SNI is no substitute for a name that is asked for': {
      changes: { sni: 'peer.test', subjectAltNames: ['other.test'] },
      why: /SAN matcher/,
    },
    'without SNI a Host that is not in the certificate is refused': {
      changes: { sni: null, subjectAltNames: [] },
      host: 'a.b.wild.test',
      why: /SAN matcher/,
    },
    'without SNI a request without Host is refused': {
      changes: { sni: null, subjectAltNames: [] },
      host: '',
      why: /SAN matcher/,
    },
  }
  for (const [name, { own, changes, host, why }] of Object.entries(refused)) {
    test(`${name}, and nothing of the request is sent`, async () => {
      const there = await bench.peer(own === undefined ? {} : { cert: own.certificate, key: own.key })
      const { outcome, detail } = await bench.ask(there, changes, host)
      assert.equal(outcome, 'remote-connection-failure')
      assert.equal(detail.startsWith(VERIFY), true, detail)
      assert.match(detail, why)
      assert.equal(detail.endsWith(':TLS_error_end'), true, detail)
      assert.equal(`${VERIFY.replace(':verify cert failed: ', '')}:TLS_error_end`, withoutCertificateDetails(detail))
      assert.deepEqual(there.requests, [])
    })
  }

  test('insecureSkipVerify accepts any certificate', async () => {
    const { certificate, key } = made.leaf(otherCa, ['x.test'], { validity: 'expired' })
    const there = await bench.peer({ cert: certificate, key })
    const { outcome } = await bench.ask(there, { trust: { kind: 'none' }, subjectAltNames: ['peer.test'] })
    assert.equal(outcome, '200')
  })

  const names: Record<string, { sni: string | null; host: string; sent: string | false }> = {
    'the SNI of the policy is sent': { sni: 'Alt.test', host: 'app.test', sent: 'alt.test' },
    'without one the Host is sent, without its port': { sni: null, host: 'alt.test:443', sent: 'alt.test' },
    'an IP address is not sent as SNI': { sni: null, host: '127.0.0.1', sent: false },
    'an IPv6 address is not sent as SNI': { sni: null, host: '[::1]:443', sent: false },
    'text that is no host name is not sent as SNI': { sni: null, host: 'a b"', sent: false },
  }
  for (const [name, { sni, host, sent }] of Object.entries(names)) {
    test(name, async () => {
      const there = await bench.peer()
      await bench.ask(there, { sni, trust: { kind: 'none' } }, host)
      await eventually(() => assert.equal(there.connections.length, 1))
      const { servername } = there.connections[0] as TLSSocket & { servername?: string | false }
      assert.equal(servername, sent)
    })
  }

  test('protocols are offered in order', async () => {
    const there = await bench.peer({ ALPNProtocols: ['istio', 'http/1.1'] })
    await bench.ask(there, { alpn: ['http/1.1', 'istio'] })
    await eventually(() => assert.equal(there.connections[0]?.alpnProtocol, 'istio'))
  })

  for (const [version, suite] of [
    ['TLSv1.3', 'TLS_AES_128_GCM_SHA256'],
    ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ] as const) {
    test(`a peer that leaves it to the gateway is spoken to with AES-128 in ${version}`, async () => {
      const there = await bench.peer({ maxVersion: version, honorCipherOrder: false })
      await bench.ask(there)
      await eventually(() => assert.equal(there.connections[0]?.getCipher().name, suite))
    })
  }

  test('a peer that knows no AES-128 is spoken to as well', async () => {
    const there = await bench.peer({ ciphers: 'TLS_AES_256_GCM_SHA384' })
    await bench.ask(there)
    await eventually(() => assert.equal(there.connections[0]?.getCipher().name, 'TLS_AES_256_GCM_SHA384'))
  })

  describe('sessions', () => {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      test(`are resumed with ${version}`, async () => {
        const there = await bench.peer({ minVersion: version, maxVersion: version })
        const { dialer } = bench.dialer()
        for (let i = 0; i < 4; i++) {
          const { outcome, connection } = await request(dialer.dial(there.endpoint, 'app.test'))
          assert.equal(outcome, '200')
          connection.close()
        }
        assert.deepEqual(there.resumed, [false, true, true, true])
      })
    }

    test('of one Host are not resumed for another, whose name would go unchecked', async () => {
      const there = await bench.peer()
      const { dialer } = bench.dialer({ sni: null, subjectAltNames: [] })
      const outcomes: string[] = []
      for (const host of ['alt.test', 'other.test', 'alt.test']) {
        const { outcome, connection } = await request(dialer.dial(there.endpoint, host))
        outcomes.push(outcome)
        connection.close()
      }
      assert.deepEqual(outcomes, ['200', 'remote-connection-failure', '200'])
      assert.equal(there.resumed.at(-1), true)
    })

    test('end with the certificate that they were made with', async () => {
      const there = await bench.peer()
      let now = Date.now()
      const { dialer } = bench.dialer({}, { now: () => now })
      for (const years of [0, 1]) {
        now += years * 365 * 24 * 3600 * 1000
        const { connection } = await request(dialer.dial(there.endpoint, 'app.test'))
        connection.close()
      }
      assert.equal(there.resumed.at(-1), false)
    })
  })

  test('connections for different Hosts are kept apart where the Host is the name', () => {
    const key = (changes: Partial<TlsTransport>) => {
      const { dialer } = bench.dialer(changes)
      return (host: string) => dialer.poolKey(host)
    }
    const byHost = key({ sni: null })
    assert.notEqual(byHost('a.test'), byHost('b.test'))
    assert.equal(byHost('a.test:443'), byHost('A.test.'))
    const fixed = key({})
    assert.equal(fixed('a.test'), fixed('b.test'))
  })
})
