import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect as tlsConnect } from 'node:tls'
import acme from 'acme-client'
import { createTransport } from '../../src/certificates/acme/transport.ts'
import { Redacted } from '../../src/lib/redacted.ts'
import { TestCertificates } from '../support/certificates.ts'
import {
  type AcmeGateway,
  acmeGateway,
  type AcmeGatewayOptions,
  GENEROUS,
  startAcmeGateway,
} from '../support/acme-gateway.ts'
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
  let setUp: (pebble: Pebble) => void = () => {}
  before(async () => {
    pebble = await startPebble({ certificates, ...options })
  })
  after(() => pebble.stop())
  return {
    /** For the next gateway alone. */
    set setUp(how: (pebble: Pebble) => void) {
      setUp = how
    },
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
      setUp(pebble)
      const gateway = await startAcmeGateway({ pebble, storage: newFolder(), ...parts })
      try {
        await work(gateway)
      } finally {
        setUp = () => {}
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

  test('one host that cannot be proved does not keep the others from a certificate', async () => {
    const { pebble } = authority
    await pebble.manage('/set-servfail', { host: 'dead.acme.test' })
    await authority.run({ yaml: acmeGateway(['alive.acme.test', 'dead.acme.test']) }, async (gateway) => {
      await eventually(isFor(gateway, 'alive.acme.test'), WAIT_MS)
      const [state] = gateway.manager.states()
      assert.match(state?.lastError ?? '', /^dead\.acme\.test \(http-01\): /)
      await eventually(() => {
        assert.ok(gateway.manager.states()[0]!.nextAttemptAt! > Date.now(), 'all of them are tried again, later')
      }, WAIT_MS)
      assert.deepEqual(gateway.manager.results, { success: 1, failure: 1, deferred: 0 })
      const told = gateway.log.find(({ level }) => level === 'error')
      assert.deepEqual(told?.fields['hosts'], ['dead.acme.test'])
      await pebble.manage('/clear-servfail', { host: 'dead.acme.test' })
      gateway.manager.retryNow()
      await eventually(isFor(gateway, 'dead.acme.test'), WAIT_MS)
      assert.equal(gateway.manager.states()[0]?.lastError, null)
    })
  })

  test('a host that the authority refuses to certify is left out as well', async () => {
    authority.setUp = (pebble) => {
      pebble.intercept = ({ path, payload }) =>
        path === '/order-plz' && JSON.stringify(payload).includes('forbidden')
          ? {
              status: 400,
              headers: { 'content-type': 'application/problem+json', 'replay-nonce': 'none' },
              body: {
                type: 'urn:ietf:params:acme:error:rejectedIdentifier',
                detail: 'some names are refused',
                subproblems: [{ detail: 'by policy', identifier: { type: 'dns', value: 'forbidden.acme.test' } }],
              },
            }
          : null
    }
    await authority.run({ yaml: acmeGateway(['allowed.acme.test', 'forbidden.acme.test']) }, async (gateway) => {
      await eventually(isFor(gateway, 'allowed.acme.test'), WAIT_MS)
      assert.equal(gateway.manager.states()[0]?.lastError, 'some names are refused; forbidden.acme.test: by policy')
    })
  })

  test('after a failure the next kind of challenge is tried', async () => {
    await authority.run({ yaml: acmeGateway(['other-way.acme.test']) }, async (gateway) => {
      // Port 80 leads nowhere: only TLS-ALPN-01 can succeed.
      authority.pebble.http.length = 0
      await eventually(() => assert.equal(gateway.manager.states()[0]?.failures, 1), WAIT_MS)
      gateway.manager.retryNow()
      await eventually(isFor(gateway, 'other-way.acme.test'), WAIT_MS)
    })
  })

  test('a directory that is down is tried again, and nothing else suffers', async () => {
    authority.setUp = (pebble) => {
      pebble.intercept = () => ({ status: 503, body: 'gone fishing' })
    }
    await authority.run({ yaml: acmeGateway(['down.acme.test']) }, async (gateway) => {
      await eventually(() => {
        assert.match(gateway.manager.states()[0]?.lastError ?? '', /^no account could be made: 503 from https:\/\/127/)
      }, WAIT_MS)
      assert.equal((await ask({ port: gateway.live.port(80), host: 'down.acme.test' })).status, 301)
      await assert.rejects(gateway.shown('down.acme.test'))
      authority.pebble.intercept = () => null
      gateway.manager.retryNow()
      await eventually(isFor(gateway, 'down.acme.test'), WAIT_MS)
    })
  })

  test('an authority that has had enough is left alone for as long as it asks', async () => {
    authority.setUp = (pebble) => {
      pebble.intercept = ({ path }) =>
        path === '/order-plz'
          ? {
              status: 429,
              headers: { 'content-type': 'application/problem+json', 'retry-after': '7200', 'replay-nonce': 'none' },
              body: { type: 'urn:ietf:params:acme:error:rateLimited', detail: 'too many orders' },
            }
          : null
    }
    const storage = newFolder()
    const yaml = acmeGateway(['limited.acme.test'])
    await authority.run({ yaml, storage }, async (gateway) => {
      await eventually(() => assert.equal(gateway.manager.results.deferred, 1), WAIT_MS)
      await eventually(() => {
        const [state] = gateway.manager.states()
        assert.equal(state?.lastError, 'too many orders')
        assert.ok(state.nextAttemptAt! >= Date.now() + 7_100_000)
      }, WAIT_MS)
    })
    authority.setUp = () => {}
    await authority.run({ yaml, storage }, async (gateway) => {
      await eventually(() => assert.equal(gateway.manager.states()[0]?.lastError, 'too many orders'), WAIT_MS)
      assert.deepEqual(authority.pebble.orders(), [], 'a restart does not make it forget')
    })
  })

  test('our own budget ends before the authority is asked', async () => {
    const limits = { ...GENEROUS, ordersPer3Hours: 1 }
    await authority.run({ yaml: acmeGateway(['first.acme.test']), issuer: { limits } }, async (gateway) => {
      await eventually(isFor(gateway, 'first.acme.test'), WAIT_MS)
      await gateway.apply(acmeGateway(['first.acme.test', 'second.acme.test']))
      await eventually(() => assert.equal(gateway.manager.results.deferred, 1), WAIT_MS)
      assert.match(gateway.manager.states()[0]?.lastError ?? '', /^the local budget of orders is used up until 20/)
      assert.equal(authority.pebble.orders().length, 1)
      await isFor(gateway, 'first.acme.test')()
    })
  })

  test('an account that was shut is replaced by a new one, with a warning', async () => {
    const storage = newFolder()
    await authority.run({ yaml: acmeGateway(['before.acme.test']), storage }, async (gateway) => {
      await eventually(isFor(gateway, 'before.acme.test'), WAIT_MS)
    })
    await deactivate(authority.pebble, storage)
    await authority.run({ yaml: acmeGateway(['after.acme.test']), storage }, async (gateway) => {
      await eventually(isFor(gateway, 'after.acme.test'), WAIT_MS)
      assert.ok(gateway.log.some(({ message }) => message.includes('no longer takes the account')))
    })
  })

  test('an order that was under way when the gateway ended is taken on, not placed again', async () => {
    const storage = newFolder()
    const yaml = acmeGateway(['resumed.acme.test'])
    let downloads = 0
    authority.setUp = (pebble) => {
      pebble.intercept = ({ path }) => {
        if (!path.startsWith('/certZ/')) return null
        downloads++
        return { status: 503, body: 'later' }
      }
    }
    await authority.run({ yaml, storage }, async (gateway) => {
      await eventually(() => assert.equal(gateway.manager.results.failure, 1), WAIT_MS)
      assert.equal(downloads, 1)
      gateway.manager.retryNow()
      await eventually(() => assert.equal(gateway.manager.results.failure, 2), WAIT_MS)
      assert.equal(authority.pebble.orders().length, 1)
    })
    authority.setUp = () => {}
    await authority.run({ yaml, storage }, async (gateway) => {
      gateway.manager.retryNow()
      await eventually(() => assert.equal(gateway.manager.states()[0]?.failures, 2), WAIT_MS)
      gateway.manager.retryNow()
      await eventually(isFor(gateway, 'resumed.acme.test'), WAIT_MS)
      assert.deepEqual(authority.pebble.orders(), [])
    })
  })

  test('hosts that are added to a Gateway are in a new certificate; the old one is presented until then', async () => {
    await authority.run({ yaml: acmeGateway(['one.acme.test']) }, async (gateway) => {
      await eventually(isFor(gateway, 'one.acme.test'), WAIT_MS)
      const { serialNumber } = await gateway.shown('one.acme.test')
      await gateway.apply(acmeGateway(['one.acme.test', 'two.acme.test']))
      assert.equal((await gateway.shown('two.acme.test')).serialNumber, serialNumber)
      await eventually(isFor(gateway, 'two.acme.test'), WAIT_MS)
      assert.equal(authority.pebble.orders().length, 2)
    })
  })

  test('a Secret of the same name wins, and nothing is ordered', async () => {
    const own = certificates.leaf(certificates.authority('own'), ['own.acme.test'])
    const secret = { 'tls.crt': own.certificate, 'tls.key': own.key }
    const yaml = `${acmeGateway(['own.acme.test'])}
apiVersion: v1
kind: Secret
metadata: { name: shop-cert, namespace: istio-system }
stringData: ${JSON.stringify(secret)}
`
    await authority.run({ yaml }, async (gateway) => {
      await isFor(gateway, 'own.acme.test')()
      assert.deepEqual(gateway.manager.states(), [])
      assert.deepEqual(authority.pebble.asked, [])
    })
  })

  test('with "self-signed" clients are shown a certificate of the right name until there is a real one', async () => {
    let release = () => {}
    const gate = new Promise<null>((resolve) => {
      release = () => resolve(null)
    })
    authority.setUp = (pebble) => {
      pebble.intercept = () => gate
    }
    await authority.run(
      { yaml: acmeGateway(['soon.acme.test']), manager: { untilIssued: 'self-signed' } },
      async (gateway) => {
        await eventually(isFor(gateway, 'soon.acme.test'), WAIT_MS)
        assert.match((await gateway.shown('soon.acme.test')).issuer.CN as string, /^Sluice/)
        release()
        await eventually(async () => {
          assert.match((await gateway.shown('soon.acme.test')).issuer.CN as string, /^Pebble/)
        }, WAIT_MS)
      },
    )
  })

  test('a storage that cannot be written orders nothing and says so', async () => {
    const file = join(newFolder(), 'file')
    writeFileSync(file, '')
    await authority.run({ yaml: acmeGateway(['nowhere.acme.test']), storage: file }, async (gateway) => {
      await eventually(() => assert.equal(gateway.manager.results.failure, 1), WAIT_MS)
      assert.match(gateway.manager.states()[0]?.lastError ?? '', /cannot be written/)
      assert.deepEqual(authority.pebble.orders(), [])
    })
  })

  test('RSA keys and a chain by its issuer’s name are as the settings ask', async () => {
    await authority.run(
      { yaml: acmeGateway(['rsa.acme.test']), issuer: { keyType: 'rsa-2048', preferredChain: 'no such issuer' } },
      async (gateway) => {
        await eventually(isFor(gateway, 'rsa.acme.test'), WAIT_MS)
        assert.equal((await gateway.shown('rsa.acme.test')).bits, 2048)
      },
    )
  })

  test('the time for renewal that the authority suggests is followed', async () => {
    let asked = ''
    authority.setUp = (pebble) => {
      const origin = new URL(pebble.directory).origin
      pebble.rewrite = ({ path }, reply) => {
        if (path !== '/dir') return reply
        const directory = JSON.parse(String(reply.body)) as object
        return { ...reply, body: { ...directory, renewalInfo: `${origin}/renewal` } }
      }
      pebble.intercept = ({ path }) => {
        if (!path.startsWith('/renewal/')) return null
        const past = asked === ''
        asked = path.slice('/renewal/'.length)
        const from = past ? Date.now() - 60_000 : Date.now() + 86_400_000
        return {
          status: 200,
          headers: { 'content-type': 'application/json', 'retry-after': '21600' },
          body: {
            suggestedWindow: { start: new Date(from).toISOString(), end: new Date(from + 1000).toISOString() },
          },
        }
      }
    }
    await authority.run({ yaml: acmeGateway(['ari.acme.test']) }, async (gateway) => {
      await eventually(() => assert.equal(gateway.manager.results.success, 2), WAIT_MS)
      const [first, second] = authority.pebble.orders()
      assert.equal(first?.payload['replaces'], undefined)
      assert.match(String(second?.payload['replaces']), /^[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]+$/)
      await eventually(() => {
        const next = gateway.manager.states()[0]!.nextAttemptAt!
        assert.ok(next > Date.now() + 86_000_000 && next < Date.now() + 87_000_000, new Date(next).toISOString())
      }, WAIT_MS)
    })
  })
})

describe('an authority that knows its customers, and refuses every third nonce', { skip }, () => {
  const hmacKey = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'
  const authority = withPebble({ externalAccounts: { 'kid-1': hmacKey }, badNonces: 33 })

  test('an account that is bound to the right key gets a certificate', async () => {
    const eab = { kid: 'kid-1', hmacKey: new Redacted(hmacKey) }
    await authority.run({ yaml: acmeGateway(['bound.acme.test']), issuer: { eab } }, async (gateway) => {
      await eventually(isFor(gateway, 'bound.acme.test'), WAIT_MS)
    })
  })

  test('one without a binding is refused, and the log says why', async () => {
    await authority.run({ yaml: acmeGateway(['unbound.acme.test']) }, async (gateway) => {
      await eventually(() => {
        assert.match(gateway.manager.states()[0]?.lastError ?? '', /no account could be made: .*externalAccountBinding/)
      }, WAIT_MS)
    })
  })
})

describe('an authority with short lives', { skip }, () => {
  const authority = withPebble({ validitySeconds: 4 })

  test('a certificate is renewed at two thirds of its life, and connections go on', async () => {
    await authority.run({ yaml: acmeGateway(['short.acme.test']) }, async (gateway) => {
      await eventually(isFor(gateway, 'short.acme.test'), WAIT_MS)
      const { serialNumber } = await gateway.shown('short.acme.test')
      const port = gateway.live.port(443)
      const open = tlsConnect({ port, host: '127.0.0.1', servername: 'short.acme.test', rejectUnauthorized: false })
      await once(open, 'secureConnect')
      await eventually(async () => {
        assert.notEqual((await gateway.shown('short.acme.test')).serialNumber, serialNumber)
      }, WAIT_MS)
      open.write('GET / HTTP/1.1\r\nhost: short.acme.test\r\nconnection: close\r\n\r\n')
      const [answer] = (await once(open, 'data')) as [Buffer]
      assert.match(answer.toString('latin1'), /^HTTP\/1\.1 404 /)
      open.destroy()
    })
  })
})

/** As an operator, or the authority, would shut it. */
async function deactivate(pebble: Pebble, storage: string): Promise<void> {
  const folder = join(storage, 'acme', 'account')
  const { key, url } = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]!), 'utf8')) as Record<string, string>
  const client = new acme.Client({ directoryUrl: pebble.directory, accountKey: key!, accountUrl: url! })
  const transport = createTransport({ caBundle: pebble.caBundle, timeoutMs: 10_000, userAgent: 'test' })
  const internals = client as unknown as { http: { request: unknown } }
  internals.http.request = (to: string, method: string, options: object = {}) =>
    transport.request(to, method, { ...options, headers: { 'content-type': 'application/jose+json' } })
  await client.updateAccount({ status: 'deactivated' } as never)
  transport.close()
}
