import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Resolver } from 'node:dns/promises'
import { after, before, describe, test } from 'node:test'
import type { DnsPublishing } from '../../src/certificates/acme/issuer.ts'
import { Redacted } from '../../src/lib/redacted.ts'
import { type AcmeGateway, acmeGateway, startAcmeGateway } from '../support/acme-gateway.ts'
import { TestCertificates } from '../support/certificates.ts'
import { eventually } from '../support/live.ts'
import { freePort, type Pebble, startPebble } from '../support/pebble.ts'
import { skipWithout } from '../support/requirements.ts'
import { findCommand } from '../support/tools.ts'

const skip = skipWithout('pebble') || skipWithout('pebble-challtestsrv') || skipWithout('named')
const WAIT_MS = 20_000
const KEY = randomBytes(32).toString('base64')

const certificates = new TestCertificates()
const folder = mkdtempSync(join(tmpdir(), 'acme-dns-'))
after(() => {
  certificates.remove()
  rmSync(folder, { recursive: true, force: true })
})

/** BIND with the zone zone.test, which the key `acme` may update. */
async function startBind(port: number): Promise<ChildProcess> {
  writeFileSync(
    join(folder, 'zone.test'),
    '$TTL 60\n@ IN SOA ns.zone.test. ops.zone.test. 1 60 60 3600 60\n@ IN NS ns\nns IN A 127.0.0.1\n',
  )
  writeFileSync(
    join(folder, 'named.conf'),
    `options { directory "${folder}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
       pid-file none; session-keyfile none; recursion no; managed-keys-directory "${folder}"; };
     controls {};
     key acme { algorithm hmac-sha256; secret "${KEY}"; };
     zone "zone.test" { type primary; file "zone.test"; update-policy { grant acme zonesub TXT; }; };\n`,
  )
  const named = spawn(findCommand('named', process.env['PATH'])!, ['-f', '-c', join(folder, 'named.conf')], {
    stdio: 'ignore',
  })
  process.once('exit', () => named.kill('SIGKILL'))
  const resolver = new Resolver({ timeout: 200, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  await eventually(async () => void (await resolver.resolveSoa('zone.test')), WAIT_MS)
  return named
}

describe('DNS-01', { skip }, () => {
  let bind: ChildProcess
  let port: number
  let pebble: Pebble
  before(async () => {
    port = await freePort()
    bind = await startBind(port)
    pebble = await startPebble({ certificates, dnsServer: `127.0.0.1:${port}` })
  })
  after(async () => {
    await pebble.stop()
    bind.kill('SIGKILL')
    await once(bind, 'exit')
  })

  const rfc2136 = (secret: string, zone: string | null): DnsPublishing => ({
    kind: 'rfc2136',
    host: '127.0.0.1',
    port,
    zone,
    tsig: { name: 'acme', algorithm: 'hmac-sha256', secret: new Redacted(secret) },
    timeoutMs: 5000,
    waitMs: 0,
  })

  const run = async (
    hosts: readonly string[],
    dns: DnsPublishing,
    work: (gateway: AcmeGateway) => Promise<void>,
    authority = pebble,
  ) => {
    const storage = mkdtempSync(join(folder, 'state-'))
    const gateway = await startAcmeGateway({
      pebble: authority,
      yaml: acmeGateway(hosts),
      storage,
      issuer: { dns, challenges: ['dns-01'] },
    })
    try {
      await work(gateway)
    } finally {
      await gateway.stop()
    }
  }

  test('a wildcard and its domain are proved by signed updates of the zone, which end with the order', async () => {
    await run(['*.zone.test', 'zone.test'], rfc2136(KEY, null), async (gateway) => {
      await eventually(async () => {
        assert.equal((await gateway.shown('any.zone.test')).subjectaltname, 'DNS:*.zone.test, DNS:zone.test')
      }, WAIT_MS)
    })
    const resolver = new Resolver()
    resolver.setServers([`127.0.0.1:${port}`])
    await assert.rejects(resolver.resolveTxt('_acme-challenge.zone.test'), { code: /ENODATA|ENOTFOUND/ })
  })

  test('a key that the server does not know is a problem with the server’s answer', async () => {
    await run(['*.zone.test'], rfc2136(randomBytes(32).toString('base64'), 'zone.test'), async (gateway) => {
      await eventually(() => {
        const [state] = gateway.manager.states()
        assert.match(
          state?.lastError ?? '',
          /^127\.0\.0\.1 refused to update _acme-challenge\.zone\.test in zone zone\.test: NOTAUTH/,
        )
      }, WAIT_MS)
    })
  })

  test('a server that is not there is a problem with its address', async () => {
    const nowhere = { ...rfc2136(KEY, 'zone.test'), port: await freePort() }
    await run(['*.zone.test'], nowhere, async (gateway) => {
      await eventually(() => {
        assert.match(
          gateway.manager.states()[0]?.lastError ?? '',
          /^the DNS server 127\.0\.0\.1:\d+ cannot be used: .*ECONNREFUSED/,
        )
      }, WAIT_MS)
    })
  })

  describe('by a hook', () => {
    let other: Pebble
    before(async () => {
      other = await startPebble({ certificates })
    })
    after(() => other.stop())

    const hook = (name: string, script: string): DnsPublishing => {
      const program = join(folder, name)
      writeFileSync(program, script)
      chmodSync(program, 0o700)
      return { kind: 'hook', program, timeoutMs: 5000, waitMs: 0 }
    }

    test('a program publishes the record and takes it away again', async () => {
      const calls = join(folder, 'calls')
      const script = `#!${process.execPath}
const { appendFileSync } = require('node:fs')
const [action, name, value] = process.argv.slice(2)
appendFileSync(${JSON.stringify(calls)}, action + ' ' + name + ' ' + Object.keys(process.env) + '\\n')
const path = action === 'present' ? '/set-txt' : '/clear-txt'
const body = JSON.stringify(action === 'present' ? { host: name + '.', value } : { host: name + '.' })
fetch(${JSON.stringify(other.management)} + path, { method: 'POST', body }).then((r) => process.exit(r.ok ? 0 : 1))
`
      await run(
        ['*.hook.test'],
        hook('good-hook', script),
        async (gateway) => {
          await eventually(async () => {
            assert.equal((await gateway.shown('any.hook.test')).subjectaltname, 'DNS:*.hook.test')
          }, WAIT_MS)
        },
        other,
      )
      assert.equal(
        readFileSync(calls, 'utf8'),
        'present _acme-challenge.hook.test PATH\ncleanup _acme-challenge.hook.test PATH\n',
      )
    })

    test('a program that fails is a problem with its code and its last words', async () => {
      const failing = hook('bad-hook', '#!/bin/sh\necho "no such zone" >&2\nexit 3\n')
      await run(
        ['*.hook.test'],
        failing,
        async (gateway) => {
          await eventually(() => {
            assert.match(
              gateway.manager.states()[0]?.lastError ?? '',
              /bad-hook present _acme-challenge\.hook\.test ended with code 3: no such zone$/,
            )
          }, WAIT_MS)
        },
        other,
      )
    })
  })
})
