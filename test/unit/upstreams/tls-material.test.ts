import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { MeshCertificate } from '../../../src/certificates/mesh-identity.ts'
import type { TlsTransport } from '../../../src/plan/cluster.ts'
import { eventually } from '../../support/live.ts'
import { skipWithout } from '../../support/requirements.ts'
import { SPIFFE, TlsBench } from './tls-bench.ts'
import { request, requestAgain } from './tls-peer.ts'

describe('Material of TLS to upstreams', { skip: skipWithout('openssl') }, () => {
  const bench = new TlsBench()
  const { made, ca, otherCa, server, client } = bench
  after(() => bench.close())

  describe('a peer that wants a client certificate', () => {
    const wants = { ca: ca.certificate, requestCert: true, rejectUnauthorized: true }
    const fromFiles = (files: { certificateFile: string; keyFile: string }): Partial<TlsTransport> => ({
      mode: 'MUTUAL',
      clientCertificate: { kind: 'file', certificatePath: files.certificateFile, keyPath: files.keyFile },
    })

    test('gets the one of the policy', async () => {
      const there = await bench.peer(wants)
      const { outcome } = await bench.ask(there, fromFiles(client))
      assert.equal(outcome, '200')
      assert.equal(there.connections[0]!.authorized, true)
    })

    test('refuses a connection without, and the failure says so', async () => {
      const { outcome, detail } = await bench.ask(await bench.peer(wants))
      assert.equal(outcome, 'connection-termination')
      assert.equal(
        detail,
        'TLS_error:|268436572:SSL routines:OPENSSL_internal:TLSV1_ALERT_CERTIFICATE_REQUIRED:TLS_error_end',
      )
    })

    test('refuses one of another authority', async () => {
      const { outcome } = await bench.ask(
        await bench.peer(wants),
        fromFiles(made.leaf(otherCa, [], { variant: 'client' })),
      )
      assert.equal(outcome, 'connection-termination')
    })

    test('with TLS 1.2 refuses during the handshake', async () => {
      const { outcome, detail } = await bench.ask(await bench.peer({ ...wants, maxVersion: 'TLSv1.2' }))
      assert.equal(outcome, 'remote-connection-failure')
      assert.match(detail, /_ALERT_HANDSHAKE_FAILURE:TLS_error_end$/)
    })

    test('is not connected to while the certificate is missing', async () => {
      const there = await bench.peer(wants)
      const absent = join(made.folder, 'absent')
      const files = { certificateFile: `${absent}.pem`, keyFile: `${absent}.key` }
      const { outcome, detail, problems } = await bench.ask(there, fromFiles(files))
      assert.deepEqual([outcome, detail], ['remote-connection-failure', 'TLS error: Secret is not supplied by SDS'])
      assert.match(problems.join(), /absent\.pem cannot be read \(ENOENT\)/)
      assert.deepEqual(there.connections, [])
    })

    test('gets the workload certificate with ISTIO_MUTUAL, and has to be of the mesh', async () => {
      const workload = made.leaf(ca, ['spiffe://cluster.local/ns/istio-system/sa/gateway'])
      const credentials: MeshCertificate = {
        certificateChain: workload.certificate,
        privateKey: workload.key,
        rootCertificates: ca.certificate,
        notAfter: Number.POSITIVE_INFINITY,
        spiffeId: 'spiffe://cluster.local/ns/istio-system/sa/gateway',
      }
      const mesh = { current: () => credentials, onChange: () => () => {}, close: () => Promise.resolve() }
      const { dialer } = bench.dialer(
        {
          mode: 'ISTIO_MUTUAL',
          trust: { kind: 'mesh' },
          clientCertificate: { kind: 'mesh' },
          subjectAltNames: [SPIFFE],
          sni: 'outbound_.80_._.cart.shop.svc.cluster.local',
        },
        { mesh },
      )
      const there = await bench.peer(wants)
      const { outcome, connection } = await request(dialer.dial(there.endpoint, 'cart'))
      assert.equal(outcome, '200')
      connection.close()
      const stranger = made.leaf(otherCa, [SPIFFE])
      const outside = await bench.peer({ ...wants, cert: stranger.certificate, key: stranger.key })
      assert.equal((await request(dialer.dial(outside.endpoint, 'cart'))).outcome, 'remote-connection-failure')
    })
  })

  test('new material is used for new connections, and those that stand go on', async () => {
    const wants = { ca: [ca.certificate, otherCa.certificate], requestCert: true, rejectUnauthorized: true }
    const there = await bench.peer(wants)
    const trustFile = join(made.folder, 'rotating-ca.pem')
    const certificatePath = join(made.folder, 'rotating.pem')
    const keyPath = join(made.folder, 'rotating.key')
    const put = (authority: { certificateFile: string }, pair: { certificateFile: string; keyFile: string }) => {
      copyFileSync(authority.certificateFile, trustFile)
      copyFileSync(pair.certificateFile, certificatePath)
      copyFileSync(pair.keyFile, keyPath)
    }
    put(ca, client)
    const { dialer, problems } = bench.dialer(
      { clientCertificate: { kind: 'file', certificatePath, keyPath } },
      { caFile: trustFile },
    )
    const key = dialer.poolKey('app.test')
    const first = await request(dialer.dial(there.endpoint, 'app.test'))
    assert.equal(first.outcome, '200')

    // Peer, authority and client certificate change, all the time under traffic.
    const moved = made.leaf(otherCa, ['peer.test'])
    there.server.setSecureContext!({ ...wants, cert: moved.certificate, key: moved.key })
    put(otherCa, made.leaf(otherCa, [], { commonName: 'rotated' }))
    await eventually(() => assert.notEqual(dialer.poolKey('app.test').split('.')[0], key.split('.')[0]))
    await eventually(() => assert.notEqual(dialer.poolKey('app.test').split('.')[1], key.split('.')[1]))
    const second = await request(dialer.dial(there.endpoint, 'app.test'))
    assert.equal(second.outcome, '200')
    const subjects = there.connections.map((socket) => socket.getPeerCertificate().subject.CN)
    assert.deepEqual(subjects, ['client', 'rotated'])
    assert.equal((await requestAgain(first.connection)).outcome, '200')
    assert.equal(there.connections.length, 2)
    for (const { connection } of [first, second]) connection.close()

    // Nonsense in a file changes nothing but the log.
    const rotated = dialer.poolKey('app.test')
    writeFileSync(trustFile, 'no certificate')
    await eventually(() =>
      assert.match(problems.join(), /rotating-ca\.pem: there is no PEM certificate in it; the one/),
    )
    assert.equal(dialer.poolKey('app.test'), rotated)
    const third = await request(dialer.dial(there.endpoint, 'app.test'))
    assert.equal(third.outcome, '200')
    third.connection.close()
  })

  test('a certificate on the revocation list is refused, the others are not', async () => {
    const revoked = made.leaf(ca, ['peer.test'], { variant: 'revoked' })
    const crlPath = join(made.folder, 'revoked.crl')
    writeFileSync(crlPath, made.revocationList(ca, [revoked]))
    const trust = { kind: 'file', path: ca.certificateFile, crlPath } as const
    const bad = await bench.ask(await bench.peer({ cert: revoked.certificate, key: revoked.key }), { trust })
    assert.match(bad.detail, /certificate revoked/)
    assert.equal((await bench.ask(await bench.peer(), { trust })).outcome, '200')
  })

  test('without the revocation list that is asked for there is no connection', async () => {
    const trust = { kind: 'file', path: ca.certificateFile, crlPath: join(made.folder, 'absent.crl') } as const
    const there = await bench.peer()
    assert.equal((await bench.ask(there, { trust })).outcome, 'remote-connection-failure')
    assert.equal(there.connections.length, 0)
  })

  test('an intermediate authority may be all that is trusted', async () => {
    // A leaf as its own anchor is the shortest chain that does not end in a root.
    const trust = { kind: 'file', path: server.certificateFile } as const
    assert.equal((await bench.ask(await bench.peer(), { trust })).outcome, '200')
  })
})
