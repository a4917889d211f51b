import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import { demoText, trials } from '../../../src/cli/demo/text.ts'
import { demoUpstreams, type DemoUpstream, startUpstreams } from '../../../src/cli/demo/upstreams.ts'
import { readyLine, type ReadyReport } from '../../../src/cli/ready.ts'

const report: ReadyReport = {
  listeners: [{ port: 80, local: { host: '::', port: 8080 } }],
  egress: null,
  admin: { host: '127.0.0.1', port: 15000 },
  status: { host: '0.0.0.0', port: 15021 },
  workers: 1,
  generation: 1,
}

/** A port that nothing listens on for the moment. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function relocated(): Promise<readonly DemoUpstream[]> {
  const upstreams = demoUpstreams(async () => {})
  const ports = await Promise.all(upstreams.map(freePort))
  return upstreams.map((upstream, index) => ({ ...upstream, port: ports[index] ?? 0 }))
}

async function ask(port: number, path: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

test('the ready line is one JSON line with addresses that can be connected to or listened on', () => {
  assert.equal(
    readyLine(report),
    '{"msg":"ready","listeners":[{"port":80,"address":"[::]:8080"}],"admin":"127.0.0.1:15000","status":"0.0.0.0:15021","workers":1,"generation":1}\n',
  )
})

test('the demo’s upstreams say who they are; one always fails, one counts', async () => {
  const upstreams = await relocated()
  const running = await startUpstreams(upstreams)
  try {
    const [v1, v2, slow, broken, healthy, audit] = upstreams.map(({ port }) => port)
    assert.deepEqual((await ask(v1 ?? 0, '/orders')).body['version'], 'v1')
    assert.deepEqual((await ask(v2 ?? 0, '/orders')).body['version'], 'v2')
    assert.equal((await ask(slow ?? 0, '/reports')).body['service'], 'reports')
    assert.equal((await ask(broken ?? 0, '/stock')).status, 503)
    assert.equal((await ask(healthy ?? 0, '/stock')).status, 200)
    assert.equal((await ask(audit ?? 0, '/orders')).body['copies'], 1)
    assert.equal((await ask(audit ?? 0, '/copies')).body['copies'], 1)
  } finally {
    await running.close()
  }
})

test('a port that is taken is named, and nothing is left running', async () => {
  const upstreams = await relocated()
  const taken = upstreams.at(-1)
  assert.ok(taken !== undefined)
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(taken.port, '127.0.0.1', resolve))
  try {
    await assert.rejects(startUpstreams(upstreams), {
      code: 'EADDRINUSE',
      message: `the demo's upstream "${taken.name}" needs 127.0.0.1:${taken.port}: something else listens there`,
    })
    await assert.rejects(ask(upstreams[0]?.port ?? 0, '/'), 'the first one is closed again')
  } finally {
    await new Promise((resolve) => other.close(resolve))
  }
})

test('what the demo says to try goes to the gateway’s own port', () => {
  const text = demoText(report, 'config')
  assert.match(text, /curl -s localhost:8080\/stock\n/)
  assert.match(text, /http:\/\/127\.0\.0\.1:15000\//)
  const asRoot = demoText({ ...report, listeners: [{ port: 80, local: { host: '0.0.0.0', port: 80 } }] }, 'config')
  assert.match(asRoot, /curl -s localhost\/stock\n/)
  assert.ok(trials('localhost', 'config').length >= 6)
})

test('the sample’s endpoints are the demo’s upstreams', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../config/services.yaml'), 'utf8')
  interface Entry {
    kind: string
    spec: { endpoints?: { address: string; ports: { http: number } }[] }
  }
  const ports = (loadAll(text) as Entry[])
    .filter(({ kind }) => kind === 'ServiceEntry')
    .flatMap(({ spec }) => (spec.endpoints ?? []).map(({ ports: { http } }) => http))
  assert.deepEqual(
    ports,
    demoUpstreams().map(({ port }) => port),
  )
})
