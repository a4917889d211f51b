import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { learn } from '../../src/egress/learn.ts'
import { startForwardProxy, startSink, talk } from '../support/forward-proxy.ts'
import { clientHello, serverNames } from '../support/hello.ts'
import { ask, eventually, startUpstream } from '../support/live.ts'

const OPTIONS = { namespace: 'learned', gatewayNamespace: 'istio-system' }

const record = (more: object) =>
  JSON.stringify({
    msg: 'egress',
    client: '10.0.0.1:4000',
    principal: null,
    method: 'CONNECT',
    target: 'api.test:443',
    path: null,
    decision: 'allowed',
    upstream: '203.0.113.1:443',
    serverName: 'api.test',
    ...more,
  })

test('a ServiceEntry for each host, with the ports and the protocols that were seen', () => {
  const { resources, records, refused, skipped } = learn(
    [
      record({}),
      record({}),
      record({ target: 'api.test:80', method: 'GET', path: '/x', serverName: null }),
      record({ target: 'db.test:5432', serverName: null }),
      record({ target: '203.0.113.9:22', serverName: null }),
      record({ target: 'evil.test:443', decision: 'refused', upstream: null }),
      'a line of the access log',
      '',
    ],
    OPTIONS,
  )
  assert.deepEqual([records, refused, skipped], [5, 1, 1])
  const entries = resources.slice(0, -1) as { metadata: { namespace: string }; spec: object }[]
  assert.deepEqual(
    entries.map(({ spec }) => spec),
    [
      {
        hosts: ['address-203-0-113-9.egress.internal'],
        addresses: ['203.0.113.9'],
        ports: [{ number: 22, name: 'tcp-22', protocol: 'TCP' }],
        resolution: 'NONE',
      },
      {
        hosts: ['api.test'],
        ports: [
          { number: 80, name: 'http-80', protocol: 'HTTP' },
          { number: 443, name: 'tls-443', protocol: 'TLS' },
        ],
        resolution: 'DNS',
      },
      { hosts: ['db.test'], ports: [{ number: 5432, name: 'tcp-5432', protocol: 'TCP' }], resolution: 'DNS' },
    ],
  )
})

test('a rule for each client, by its token or its address, with no pair of host and port that it did not use', () => {
  const { resources } = learn(
    [
      record({ target: 'a.test:443' }),
      record({ target: 'b.test:443' }),
      record({ target: 'b.test:80', method: 'GET', path: '/' }),
      record({ target: 'a.test:443', client: '[2001:db8::1]:1', principal: 'https://login.test/team-a' }),
    ],
    OPTIONS,
  )
  const policy = resources.at(-1) as { spec: { rules: unknown } }
  assert.deepEqual(policy.spec.rules, [
    {
      from: [{ source: { ipBlocks: ['10.0.0.1'] } }],
      to: [
        { operation: { hosts: ['a.test'], ports: ['443'] } },
        { operation: { hosts: ['b.test'], ports: ['80', '443'] } },
      ],
    },
    {
      from: [{ source: { requestPrincipals: ['https://login.test/team-a'] } }],
      to: [{ operation: { hosts: ['a.test'], ports: ['443'] } }],
    },
  ])
})

test('what was learned lets the same through, and nothing else', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'learn-'))
  const auditLog = join(folder, 'audit.log')
  const sink = await startSink('127.0.0.5')
  const web = await startUpstream((_, res) => res.end('ok'))
  // Addresses of this machine stand for outside ones, which only entries of the list can name.
  const open = [`wide-tls ${sink.port} TLS 127.0.0.5`, `wide-web ${web.port} HTTP 127.0.0.1`]
    .map((line) => line.split(' '))
    .map(
      ([name, port, protocol, address]) => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec: { hosts: ['*.${name}.test'], addresses: [${address}], ports: [{ number: ${port}, name: p, protocol: ${protocol} }], resolution: NONE }
---`,
    )
    .join('')
  const resolve = async (host: string) => ({
    addresses: [host.endsWith('.wide-tls.test') ? '127.0.0.5' : '127.0.0.1'],
    ttlMs: null,
  })
  const proxy = await startForwardProxy(open, { auditLog }, { resolve })
  const tunnel = async (host: string) => {
    const client = talk(proxy.proxyPort)
    client.socket.write(`CONNECT ${host}:${sink.port} HTTP/1.1\r\nhost: ${host}:${sink.port}\r\n\r\n`)
    const head = await client.until('\r\n\r\n')
    const hello = clientHello([serverNames(host)]).toString('latin1')
    client.socket.write(Buffer.from(hello, 'latin1'))
    if (head.includes(' 200 ')) await client.until(hello)
    client.socket.destroy()
    return Number(head.slice(9, 12))
  }
  const get = async (host: string) =>
    (await ask({ port: proxy.proxyPort, path: `http://${host}:${web.port}/`, host: `${host}:${web.port}` })).status
  try {
    assert.deepEqual([await tunnel('a.wide-tls.test'), await get('b.wide-web.test')], [200, 200])
    await eventually(() => assert.equal(readFileSync(auditLog, 'utf8').split('\n').length, 3))
    const { resources } = learn(readFileSync(auditLog, 'utf8').split('\n'), OPTIONS)
    const yaml = resources.map((resource) => stringify(resource)).join('---\n')
    // What the tests' names lead to has to be named, as it is no outside address.
    const named = yaml
      .replace('- a.wide-tls.test\n', '- a.wide-tls.test\n  addresses: [127.0.0.5]\n')
      .replace('- b.wide-web.test\n', '- b.wide-web.test\n  addresses: [127.0.0.1]\n')
    await proxy.apply(named)
    assert.deepEqual([await tunnel('a.wide-tls.test'), await get('b.wide-web.test')], [200, 200])
    assert.deepEqual([await tunnel('b.wide-tls.test'), await get('a.wide-web.test')], [403, 403])
  } finally {
    await proxy.stop()
    sink.stop()
    web.stop()
    rmSync(folder, { recursive: true })
  }
})

test('sluice egress learn reads files, prints resources, and says what it skipped', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'learn-'))
  try {
    const { runCommandLine } = await import('../../src/cli/main.ts')
    writeFileSync(join(folder, 'audit.log'), `${record({})}\nother\n`)
    let [out, err] = ['', '']
    const io = {
      stdout: { write: (text: string) => (out += text) },
      stderr: { write: (text: string) => (err += text) },
      env: {},
      cwd: folder,
    }
    assert.equal(await runCommandLine(['egress', 'learn', 'audit.log'], io), 0)
    assert.match(out, /kind: ServiceEntry[^]*api\.test[^]*kind: AuthorizationPolicy/)
    assert.match(err, /1 got through, 0 were refused or failed, 1 other lines/)
    assert.equal(await runCommandLine(['egress', 'learn', 'none.log'], io), 2)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
