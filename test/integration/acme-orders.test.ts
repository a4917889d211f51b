import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { TestCertificates } from '../support/certificates.ts'
import { type AcmeGateway, acmeGateway, type AcmeGatewayOptions, startAcmeGateway } from '../support/acme-gateway.ts'
import { ask, eventually } from '../support/live.ts'
import { type Pebble, type PebbleOptions, startPebble } from '../support/pebble.ts'
import { skipWithout } from '../support/requirements.ts'

const skip = skipWithout('pebble') || skipWithout('pebble-challtestsrv')
const WAIT_MS = 20_000

const certificates = new TestCertificates()
const folders: string[] = []
after(() => {
  certificates.remove()
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'acme-'))
  folders.push(folder)
  return folder
}

/** A pebble for all tests of a block, and gateways that end with their test. */
function withPebble(options: Omit<PebbleOptions, 'certificates'> = {}) {
  let pebble: Pebble
  before(async () => {
    pebble = await startPebble({ certificates, ...options })
  })
  after(() => pebble.stop())
  return {
    get pebble() {
      return pebble
    },
    async run(
      parts: Partial<AcmeGatewayOptions> & { yaml: string },
      work: (gateway: AcmeGateway) => Promise<void>,
    ): Promise<void> {
      pebble.http.length = pebble.tls.length = pebble.asked.length = 0
      pebble.intercept = () => null
      pebble.rewrite = (_, reply) => reply
      const gateway = await startAcmeGateway({ pebble, storage: newFolder(), ...parts })
      try {
        await work(gateway)
      } finally {
        await gateway.stop()
      }
    },
  }
}

const isFor = (gateway: AcmeGateway, host: string) => async () => {
  assert.match((await gateway.shown(host)).subjectaltname ?? '', new RegExp(`DNS:${host.replaceAll('.', '\\.')}`))
}

describe('orders with an authority', { skip }, () => {
  const authority = withPebble()

  test('from nothing to a served certificate over HTTP-01 takes less than five seconds, before the redirect', async () => {
    const began = performance.now()
    const storage = newFolder()
    await authority.run({ yaml: acmeGateway(['shop.acme.test', 'www.acme.test']), storage }, async (gateway) => {
      await eventually(isFor(gateway, 'shop.acme.test'), WAIT_MS)
      assert.ok(performance.now() - began < 5000, `it took ${performance.now() - began} ms`)
      assert.match((await gateway.shown('www.acme.test')).subjectaltname ?? '', /www\.acme\.test/)
      assert.equal(authority.pebble.orders().length, 1, 'one order for all hosts')
      const other = await ask({
        port: gateway.live.port(80),
        host: 'shop.acme.test',
        path: '/.well-known/acme-challenge/x',
      })
      assert.equal(other.status, 301, 'what is no challenge is redirected like everything else')
      assert.deepEqual(gateway.manager.results, { success: 1, failure: 0, deferred: 0 })
      for (const folder of ['account', 'certificate']) {
        for (const file of readdirSync(join(storage, 'acme', folder))) {
          assert.equal(statSync(join(storage, 'acme', folder, file)).mode & 0o777, 0o600)
        }
      }
      assert.deepEqual(readdirSync(join(storage, 'acme', 'order')), [])
      assert.deepEqual(readdirSync(join(storage, 'acme', 'lock')), [])
    })
    await authority.run({ yaml: acmeGateway(['shop.acme.test', 'www.acme.test']), storage }, async (gateway) => {
      await isFor(gateway, 'shop.acme.test')()
      assert.deepEqual(authority.pebble.orders(), [], 'after a restart nothing is ordered')
    })
  })

  test('TLS-ALPN-01 proves a host before it has a certificate', async () => {
    await authority.run(
      { yaml: acmeGateway(['alpn.acme.test']), issuer: { challenges: ['tls-alpn-01'] } },
      async (gateway) => {
        await assert.rejects(gateway.shown('alpn.acme.test'))
        await eventually(isFor(gateway, 'alpn.acme.test'), WAIT_MS)
        assert.deepEqual(authority.pebble.http.length, 1)
      },
    )
  })
})
