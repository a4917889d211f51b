import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { capture } from './capture.ts'

/** What the admin API answers, by method and path. */
const answers: Record<string, unknown> = {
  'GET /listeners': {
    listeners: [
      { name: '80', kind: 'http', port: 80, address: '127.0.0.1:8080', up: true, errors: [], hosts: ['*'] },
      {
        name: '443',
        kind: 'tls',
        port: 443,
        address: null,
        up: false,
        errors: ['EACCES'],
        hosts: ['a', 'b', 'c', 'd', 'e', 'f'],
      },
    ],
  },
  'GET /routes?host=a.test&listener=80': {
    routes: [
      {
        port: 80,
        host: '*',
        position: 0,
        name: '',
        match: 'path prefix "/a"',
        action: 'redirect 301',
        origin: { kind: 'VirtualService', namespace: 'default', name: 'shop', pointer: '/spec/http/0' },
      },
    ],
  },
  'GET /clusters': {
    clusters: [
      {
        name: 'outbound|80||app.internal',
        endpoints: [
          { address: '127.0.0.1:9081', health: 'healthy', requests: 7 },
          { address: '[::1]:9081', health: 'unknown', requests: 0 },
        ],
      },
      { name: 'outbound|80||gone.internal', endpoints: [] },
    ],
  },
  'GET /status': {
    inStep: false,
    generation: 12,
    configuration: '12-9f86d081',
    sources: [{ name: 'config', objects: 3, readAt: null, error: 'EACCES' }],
    workers: [{ id: 0, pid: 71, generation: 11, restarts: 2 }],
    listenersDown: [{ name: '443', port: 443, errors: ['EADDRINUSE'] }],
    closedBy: [{ kind: 'AuthorizationPolicy', namespace: 'istio-system', name: 'deny' }],
    rejected: [
      {
        kind: 'VirtualService',
        namespace: 'default',
        name: 'shop',
        problems: [
          {
            code: 'schema/type',
            severity: 'error',
            origin: {
              kind: 'VirtualService',
              namespace: 'default',
              name: 'shop',
              pointer: '/spec/http',
              source: 'a.yaml',
              line: 7,
            },
            message: 'expected a list\u001b[2J',
          },
        ],
      },
    ],
  },
}

const explanation = {
  outcome: 'forwarded to outbound|80|v2|orders',
  authorization: {
    outcome: 'allowed',
    because: 'ns[istio-system]-policy[shop]-rule[0] allows it',
    rule: { kind: 'AuthorizationPolicy', namespace: 'istio-system', name: 'shop', pointer: '/spec/rules/0' },
  },
  listener: '80',
  virtualHost: '*',
  path: '/orders',
  route: { name: 'canary', from: 'VirtualService default/shop /spec/http/1', action: {} },
  clusters: [{ cluster: 'outbound|80|v2|orders', share: 1 }],
  rules: [
    { rule: 'VirtualService default/shop /spec/http/0', matches: false, because: ['path exact "/old"'] },
    { rule: 'VirtualService default/shop /spec/http/1', matches: true, because: [] },
  ],
}

const asked: { method: string; url: string; body: string }[] = []
let server: Server
let admin: string

before(async () => {
  server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      asked.push({ method: request.method ?? '', url: request.url ?? '', body })
      const answer = request.url === '/explain' ? explanation : answers[`${request.method} ${request.url}`]
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' })
      response.end(JSON.stringify(answer ?? { error: 'no such page' }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  admin = `127.0.0.1:${(server.address() as AddressInfo).port}`
})

after(() => new Promise((resolve) => server.close(resolve)))

test('listeners are a table with a line each', async () => {
  const { code, stdout } = await capture(['listeners', '--admin', admin])
  assert.equal(code, 0)
  assert.equal(
    stdout,
    [
      'NAME  PORT  ADDRESS         KIND  STATE         HOSTS',
      '80    80    127.0.0.1:8080  http  up            *',
      '443   443   -               tls   down: EACCES  a, b, c, d, e, … 6 in all',
      '',
    ].join('\n'),
  )
})

test('routes can be narrowed, and say where they come from', async () => {
  const { stdout } = await capture(['routes', '--admin', admin, '--host', 'a.test', '--listener', '80'])
  assert.match(
    stdout,
    /\n80 {2,}\* {2,}0 {2,}- {2,}path prefix "\/a" {2,}redirect 301 {2,}VirtualService default\/shop \/spec\/http\/0\n/,
  )
})

test('clusters have a row for each endpoint, and one where there is none', async () => {
  const { stdout } = await capture(['clusters', '--admin', admin])
  const lines = stdout.trimEnd().split('\n')
  assert.match(
    lines[1] ?? '',
    /^outbound\|80\|\|app\.internal {2,}127\.0\.0\.1:9081 {2,}healthy {2,}- {2,}- {2,}- {2,}7 /,
  )
  assert.match(lines[2] ?? '', /\[::1\]:9081/)
  assert.match(lines[3] ?? '', /^outbound\|80\|\|gone\.internal {2,}- {2,}no endpoints/)
})

test('--output json is what the gateway said', async () => {
  const { stdout } = await capture(['clusters', '--admin', admin, '--output', 'json'])
  assert.deepEqual(JSON.parse(stdout), answers['GET /clusters'])
})

test('the address comes from --admin, else SLUICE_ADMIN', async () => {
  assert.equal((await capture(['listeners'], { SLUICE_ADMIN: admin })).code, 0)
  assert.equal((await capture(['listeners', '--admin', admin], { SLUICE_ADMIN: '127.0.0.1:1' })).code, 0)
})

test('status ends with 1 while a worker is behind or an object is rejected, and says why in one clean line', async () => {
  const { code, stdout } = await capture(['status', '--admin', admin])
  assert.equal(code, 1)
  assert.match(stdout, /^not in step with its sources, generation 12-9f86d081\n/)
  assert.match(stdout, /\nconfig cannot be read: EACCES\n/)
  assert.match(stdout, /\nthe listener of port 443 is down: EADDRINUSE\n/)
  assert.match(
    stdout,
    /\nclosed: every request is refused with 403, because of AuthorizationPolicy istio-system\/deny\n/,
  )
  assert.match(stdout, /\n0 {2,}71 {2,}11 {2,}2\n/)
  assert.match(
    stdout,
    /\n {2}a\.yaml:7: error: VirtualService default\/shop \/spec\/http: expected a list\?\[2J \[schema\/type\]\n/,
  )
})

test('explain sends method, URL and headers, and prints what happens first, then why', async () => {
  const url = 'http://shop.example.com/orders'
  const { code, stdout } = await capture(['explain', 'GET', url, '-H', 'x-a: b:c', '-H', 'x-d:', '--admin', admin])
  assert.equal(code, 0)
  assert.equal(
    stdout,
    [
      'forwarded to outbound|80|v2|orders',
      '  policies: allowed: ns[istio-system]-policy[shop]-rule[0] allows it (AuthorizationPolicy istio-system/shop /spec/rules/0)',
      '  listener: 80',
      '  virtual host: *',
      '  path: /orders',
      '  route: canary',
      '  from: VirtualService default/shop /spec/http/1',
      '  upstream: outbound|80|v2|orders, 100%',
      '',
      'rules that were tried, in order:',
      '  no   VirtualService default/shop /spec/http/0: not path exact "/old"',
      '  yes  VirtualService default/shop /spec/http/1',
      '',
    ].join('\n'),
  )
  assert.deepEqual(JSON.parse(asked.at(-1)?.body ?? ''), {
    method: 'GET',
    url,
    headers: [
      ['x-a', 'b:c'],
      ['x-d', ''],
    ],
  })
})

test('explain refuses what is no URL and no header', async () => {
  assert.equal((await capture(['explain', 'GET', '/orders', '--admin', admin])).code, 2)
  assert.equal((await capture(['explain', 'GET', 'http://h/', '-H', 'x', '--admin', admin])).code, 2)
})

test('dashboard prints the address of the console', async () => {
  assert.equal((await capture(['dashboard', '--admin', admin])).stdout, `http://${admin}/\n`)
})

test('no gateway there: exit code 2, and what to check', async () => {
  const { code, stdout, stderr } = await capture(['routes', '--admin', '127.0.0.1:1'])
  assert.equal(code, 2)
  assert.equal(stdout, '')
  assert.match(stderr, /^no gateway answers at 127\.0\.0\.1:1 \(ECONNREFUSED\)\. Check that "sluice run" is running/)
})

test('an answer with an error: exit code 2, and the answer', async () => {
  const { code, stderr } = await capture(['certs', '--admin', admin])
  assert.equal(code, 2)
  assert.match(stderr, /answered \/certs with 404: no such page/)
})

test('an address that is none: exit code 2', async () => {
  const { code, stderr } = await capture(['routes', '--admin', 'somewhere'])
  assert.equal(code, 2)
  assert.match(stderr, /"somewhere" is not \[HOST:\]PORT/)
})
