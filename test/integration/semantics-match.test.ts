/** Which rule takes a request: conditions, order, several VirtualServices, hosts, delegates, destinations' ports. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { ask, GATEWAY, raw, routes, service, startGateway } from '../support/live.ts'
import { startEcho } from '../support/observed.ts'

const echo = await startEcho()
after(() => echo.stop())

interface RequestCase {
  readonly path?: string
  readonly method?: string
  readonly host?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Header lines as they are. */
  readonly lines?: readonly string[]
  readonly port?: number
  /** Body of the rule that answers, or a status. */
  readonly gives: string | number
}

const answer = (text: string): string => `directResponse: { status: 200, body: { string: "${text}" } }`
const rule = (match: string, text: string): string => `{ match: [${match}], ${answer(text)} }`

async function outcome(
  { path = '/', method = 'GET', host = 'app.test', headers, lines, port }: RequestCase,
  at: number,
) {
  if (lines !== undefined) {
    const head = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, ...lines, 'Connection: close', '', ''].join('\r\n')
    const { text } = await raw(port ?? at, head)
    const status = Number(text.slice(9, 12))
    return status === 200 ? text.slice(text.indexOf('\r\n\r\n') + 4) : status
  }
  const { status, body } = await ask({ port: port ?? at, path, method, host, ...(headers ? { headers } : {}) })
  return status === 200 ? body : status
}

async function check(yaml: string, cases: readonly RequestCase[]): Promise<void> {
  const gateway = await startGateway(yaml)
  try {
    for (const request of cases) {
      const at = gateway.port(request.port ?? 80)
      const { port: _port, ...rest } = request
      assert.equal(await outcome(rest, at), request.gives, JSON.stringify(request))
    }
  } finally {
    await gateway.stop()
  }
}

const RULES: readonly (readonly [name: string, rules: readonly string[], cases: readonly RequestCase[]])[] = [
  [
    'uri.prefix compares text and uri.exact the whole path, without the query',
    [rule('{ uri: { exact: /a } }', 'exact'), rule('{ uri: { prefix: /a } }', 'prefix')],
    [
      { path: '/a?q', gives: 'exact' },
      { path: '/a/', gives: 'prefix' },
      { path: '/ab', gives: 'prefix' },
      { path: '/A', gives: 404 },
    ],
  ],
  [
    'uri.regex matches the whole path and not the query',
    [rule('{ uri: { regex: "/v[0-9]+/.+x" } }', 'regex')],
    [
      { path: '/v1/ax', gives: 'regex' },
      { path: '/v1/ax?b', gives: 'regex' },
      { path: '/v1/axb', gives: 404 },
      { path: '/a/v1/ax', gives: 404 },
      { path: '/v1/a?x', gives: 404 },
    ],
  ],
  [
    'ignoreUriCase is for exact and prefix',
    [
      rule('{ uri: { exact: /Exact }, ignoreUriCase: true }', 'exact'),
      rule('{ uri: { prefix: /PRE }, ignoreUriCase: true }', 'prefix'),
      rule('{ uri: { regex: "/reg" }, ignoreUriCase: true }', 'regex'),
    ],
    [
      { path: '/eXACT', gives: 'exact' },
      { path: '/prefix', gives: 'prefix' },
      { path: '/REG', gives: 404 },
      { path: '/reg', gives: 'regex' },
    ],
  ],
  [
    'the first rule in order wins, whatever is more specific',
    [
      rule('{ uri: { prefix: /a } }', 'first'),
      rule('{ uri: { exact: /a/b } }', 'second'),
      rule('{ uri: { prefix: "" } }', 'empty prefix'),
      rule('{ uri: { prefix: /z } }', 'never'),
    ],
    [
      { path: '/a/b', gives: 'first' },
      { path: '/z', gives: 'empty prefix' },
    ],
  ],
  [
    'conditions of a match hold together, matches of a rule one by one',
    [rule('{ uri: { prefix: /a }, method: { exact: GET } }, { headers: { x-m: { exact: "1" } } }', 'yes')],
    [
      { path: '/a', gives: 'yes' },
      { path: '/a', method: 'POST', gives: 404 },
      { path: '/b', method: 'POST', headers: { 'x-m': '1' }, gives: 'yes' },
    ],
  ],
  [
    'authority is Host as it came, with its port and case',
    [
      rule('{ authority: { exact: "app.test:8080" } }', 'port'),
      rule('{ authority: { prefix: App } }', 'case'),
      rule('{ authority: { regex: "app[.]test" } }', 'plain'),
    ],
    [
      { host: 'app.test:8080', gives: 'port' },
      { host: 'App.test', gives: 'case' },
      { host: 'app.test', gives: 'plain' },
      { host: 'app.test:81', gives: 404 },
    ],
  ],
  [
    'methods and schemes are compared case-sensitively',
    [
      rule('{ method: { regex: "GET|HEAD" } }', 'read'),
      rule('{ scheme: { exact: http }, method: { prefix: P } }', 'write'),
      rule('{ scheme: { exact: https } }', 'tls'),
    ],
    [
      { gives: 'read' },
      { method: 'PATCH', gives: 'write' },
      { method: 'DELETE', headers: { 'x-forwarded-proto': 'https' }, gives: 404 },
    ],
  ],
  [
    'headers: names in any case, values exactly, several lines joined by a comma',
    [
      rule('{ headers: { X-Exact: { exact: "a,b" } } }', 'joined'),
      rule('{ headers: { x-prefix: { prefix: v1 } } }', 'prefix'),
      rule('{ headers: { x-regex: { regex: "[a-z]+" } } }', 'regex'),
      rule('{ headers: { x-here: {} } }', 'present'),
    ],
    [
      { lines: ['x-EXACT: a', 'X-exact: b'], gives: 'joined' },
      { lines: ['x-exact: a, b'], gives: 404 },
      { lines: ['x-exact: A,b'], gives: 404 },
      { lines: ['x-prefix: v12'], gives: 'prefix' },
      { lines: ['x-prefix: av1'], gives: 404 },
      { lines: ['x-regex: abc'], gives: 'regex' },
      { lines: ['x-regex: abc1'], gives: 404 },
      { lines: ['x-here:'], gives: 'present' },
    ],
  ],
  [
    'pseudo-headers are headers in matches',
    [
      rule('{ headers: { ":authority": { prefix: "app.test:9" }, ":method": { exact: POST } } }', 'authority'),
      rule('{ headers: { ":path": { exact: "/p?q=1" } } }', 'path'),
      rule('{ headers: { ":scheme": { exact: http }, host: { exact: "app.test:1" } } }', 'scheme'),
    ],
    [
      { host: 'app.test:99', method: 'POST', gives: 'authority' },
      { path: '/p?q=1', gives: 'path' },
      { path: '/p', gives: 404 },
      { host: 'app.test:1', gives: 'scheme' },
    ],
  ],
  [
    'withoutHeaders: a value must not be there, a missing header is empty',
    [
      rule('{ withoutHeaders: { x-a: { exact: no }, x-b: {} } }', 'neither'),
      rule('{ withoutHeaders: { x-c: { regex: "*" } } }', 'without c'),
      rule('{ withoutHeaders: { x-d: { exact: "" } } }', 'd has a value'),
    ],
    [
      { gives: 'neither' },
      { headers: { 'x-a': 'yes' }, gives: 'neither' },
      { headers: { 'x-a': 'no' }, gives: 'without c' },
      { headers: { 'x-b': '' }, gives: 'without c' },
      { headers: { 'x-b': '1', 'x-c': '1', 'x-d': '1' }, gives: 'd has a value' },
      { headers: { 'x-b': '1', 'x-c': '1' }, gives: 404 },
    ],
  ],
  [
    'queryParams: the first value of each, all of them',
    [
      rule('{ queryParams: { a: { exact: "1" }, b: { prefix: x } } }', 'both'),
      rule('{ queryParams: { a: { exact: "" } } }', 'empty'),
      rule('{ queryParams: { a: { regex: "[2-9]+" } } }', 'regex'),
      rule('{ queryParams: { c: {} } }', 'present'),
    ],
    [
      { path: '/?b=xy&a=1', gives: 'both' },
      { path: '/?a=1&a=2&b=x', gives: 'both' },
      { path: '/?a=2&a=1&b=x', gives: 'regex' },
      { path: '/?a', gives: 'empty' },
      { path: '/?a=', gives: 'empty' },
      { path: '/?a=22', gives: 'regex' },
      { path: '/?a=221', gives: 404 },
      { path: '/?x&c', gives: 'present' },
      { path: '/?c=9', gives: 'present' },
      { path: '/?C', gives: 404 },
    ],
  ],
  [
    'match.port and match.gateways are settled beforehand',
    [
      rule('{ port: 8080 }', 'other port'),
      rule('{ gateways: [istio-system/other] }', 'other gateway'),
      rule('{ gateways: [istio-system/gw], sourceNamespace: nowhere, uri: { prefix: /gw } }', 'this gateway'),
      rule('{ sourceNamespace: istio-system, uri: { prefix: /own } }', 'own namespace'),
      rule('{ sourceNamespace: elsewhere }', 'other namespace'),
      rule('{ port: 80 }', 'this port'),
    ],
    [{ gives: 'this port' }, { path: '/gw', gives: 'this gateway' }, { path: '/own', gives: 'own namespace' }],
  ],
]

for (const [name, rules, cases] of RULES) {
  test(`match: ${name}`, async () => {
    await check(GATEWAY + routes(`[${rules.join(', ')}]`), cases)
  })
}

const virtualService = (
  name: string,
  hosts: string,
  http: string,
  more: { namespace?: string; created?: string; exportTo?: string; gateways?: string } = {},
): string => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ${more.namespace ?? 'default'}, creationTimestamp: "${more.created ?? '2026-01-01T00:00:00Z'}" }
spec: { ${hosts === '' ? '' : `hosts: [${hosts}], gateways: [${more.gateways ?? 'istio-system/gw'}],`} http: [${http}]${more.exportTo ? `, exportTo: [${more.exportTo}]` : ''} }
---
`

test('hosts: exact before the longest wildcard before *, and only one is asked', async () => {
  await check(
    GATEWAY +
      virtualService('any', '"*"', rule('{ uri: { prefix: / } }', 'any')) +
      virtualService('wide', '"*.app.test"', rule('{ uri: { prefix: / } }', 'wide')) +
      virtualService('narrow', '"*.b.app.test"', rule('{ uri: { prefix: / } }', 'narrow')) +
      virtualService('exact', 'x.app.test', rule('{ uri: { exact: /only } }', 'exact')),
    [
      { host: 'x.app.test', path: '/only', gives: 'exact' },
      { host: 'x.app.test', path: '/', gives: 404 },
      { host: 'y.app.test', gives: 'wide' },
      { host: 'a.b.app.test:81', gives: 'narrow' },
      { host: 'b.app.test', gives: 'wide' },
      { host: 'app.test', gives: 'any' },
      { host: '[::1]:80', gives: 'any' },
    ],
  )
})

test('hosts: an IPv6 address is written without brackets in a resource, and with them in Host', async () => {
  await check(GATEWAY + virtualService('six', '"2001:db8::1", 192.0.2.9', rule('{ uri: { prefix: / } }', 'six')), [
    { host: '[2001:db8::1]:8080', gives: 'six' },
    { host: '[2001:DB8::1]', gives: 'six' },
    { host: '192.0.2.9:1', gives: 'six' },
  ])
})

test('hosts: a bare name is a Kubernetes service’s', async () => {
  await check(GATEWAY + virtualService('short', 'shop', rule('{ uri: { prefix: / } }', 'short')), [
    { host: 'shop', gives: 404 },
    { host: 'shop.default.svc.cluster.local', gives: 'short' },
  ])
})

test('several VirtualServices: older ones first, those that take everything last', async () => {
  await check(
    GATEWAY +
      virtualService('b-new', 'app.test', `${rule('{ uri: { prefix: /a } }', 'new')}, { ${answer('new all')} }`, {
        created: '2026-03-01T00:00:00Z',
      }) +
      virtualService('c-old', 'app.test', `${rule('{ uri: { prefix: /o } }', 'old')}, { ${answer('old all')} }`, {
        created: '2026-02-01T00:00:00Z',
      }) +
      virtualService('a-same', 'app.test', rule('{ uri: { prefix: /a/same } }', 'same'), {
        created: '2026-03-01T00:00:00Z',
      }),
    [
      { path: '/o', gives: 'old' },
      { path: '/a/x', gives: 'new' },
      { path: '/a/same', gives: 'same' },
      { path: '/x', gives: 'old all' },
    ],
  )
})

test('several VirtualServices: what follows a rule that takes everything is never reached', async () => {
  await check(
    GATEWAY +
      virtualService('a', 'app.test', `{ ${answer('all')} }, ${rule('{ uri: { exact: /x } }', 'never')}`) +
      virtualService('b', 'app.test', rule('{ uri: { exact: /y } }', 'other'), { created: '2026-05-01T00:00:00Z' }),
    [
      { path: '/x', gives: 'all' },
      { path: '/y', gives: 'other' },
    ],
  )
})

test('exportTo: private ones first, then those exported by name, and others not at all', async () => {
  const more = { created: '2026-01-01T00:00:00Z' }
  await check(
    GATEWAY +
      virtualService('public', 'app.test', rule('{ uri: { prefix: /a } }', 'public'), more) +
      virtualService('named', 'app.test', rule('{ uri: { prefix: /a/b } }', 'named'), {
        created: '2026-02-01T00:00:00Z',
        exportTo: 'istio-system',
      }) +
      virtualService('private', 'app.test', rule('{ uri: { prefix: /a/b/c } }', 'private'), {
        created: '2026-03-01T00:00:00Z',
        namespace: 'istio-system',
        exportTo: '"."',
      }) +
      virtualService('hidden', 'app.test', rule('{ uri: { prefix: / } }', 'hidden'), { exportTo: '"."' }),
    [
      { path: '/a/b/c', gives: 'private' },
      { path: '/a/b/d', gives: 'named' },
      { path: '/a/x', gives: 'public' },
      { path: '/x', gives: 404 },
    ],
  )
})

test('gateways: without any, or with mesh alone, a VirtualService is for sidecars', async () => {
  const http = rule('{ uri: { prefix: / } }', 'yes')
  await check(
    GATEWAY +
      virtualService('mesh', 'a.test', http, { gateways: 'mesh' }) +
      virtualService('both', 'b.test', http, { gateways: 'mesh, istio-system/gw' }) +
      virtualService('own', 'c.test', http, { gateways: 'gw', namespace: 'istio-system' }) +
      virtualService('dot', 'd.test', http, { gateways: './gw', namespace: 'istio-system' }) +
      virtualService('wrong', 'e.test', http, { gateways: 'gw' }) +
      virtualService('legacy', 'f.test', http, { gateways: 'gw.istio-system.svc.cluster.local' }),
    [
      { host: 'a.test', gives: 404 },
      { host: 'b.test', gives: 'yes' },
      { host: 'c.test', gives: 'yes' },
      { host: 'd.test', gives: 'yes' },
      { host: 'e.test', gives: 404 },
      { host: 'f.test', gives: 'yes' },
    ],
  )
})

const SERVERS = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: gw, namespace: istio-system, creationTimestamp: "2026-01-01T00:00:00Z" }
spec:
  servers:
  - { port: { number: 80, name: a, protocol: HTTP }, hosts: ['*.wide.test', 'default/only.test', './own.test', 'narrow.test'] }
  - { port: { number: 8080, name: b, protocol: HTTP2 }, hosts: ['secure.test', '*.redirect.test'], tls: { httpsRedirect: true } }
---
`

test('gateway hosts: names are narrowed on both sides, and namespaces are kept apart', async () => {
  const http = rule('{ uri: { prefix: / } }', 'yes')
  await check(
    SERVERS +
      virtualService('wide', '"*.test"', http) +
      virtualService('own', 'own.test', http, { namespace: 'istio-system' }) +
      virtualService('only', 'only.test', http, { namespace: 'other' }),
    [
      { host: 'a.wide.test', gives: 'yes' },
      { host: 'narrow.test', gives: 'yes' },
      { host: 'only.test', gives: 'yes' },
      { host: 'own.test', gives: 'yes' },
      { host: 'wide.test', gives: 404 },
      { host: 'other.test', gives: 404 },
    ],
  )
})

test('httpsRedirect: hosts with and without routes are sent to https', async () => {
  const gateway = await startGateway(
    SERVERS +
      virtualService('s', 'secure.test', `{ ${answer('plain')}, headers: { response: { set: { x-a: "1" } } } }`),
  )
  try {
    const port = gateway.port(8080)
    for (const [host, path, location] of [
      ['secure.test', '/a?b=c', 'https://secure.test/a?b=c'],
      ['x.redirect.test', '/', 'https://x.redirect.test/'],
      ['secure.test:8080', '/', 'https://secure.test:8080/'],
    ] as const) {
      const { status, headers, body } = await ask({ port, host, path, method: 'POST' })
      assert.deepEqual([status, headers['location'], body], [301, location, ''])
    }
    assert.equal((await ask({ port, host: 'unknown.test' })).status, 404)
  } finally {
    await gateway.stop()
  }
  const trusting = await startGateway(SERVERS + virtualService('s', 'secure.test', `{ ${answer('plain')} }`), {
    mesh: { numTrustedProxies: 1 },
  })
  try {
    const port = trusting.port(8080)
    const { body } = await ask({ port, host: 'secure.test', headers: { 'x-forwarded-proto': 'https' } })
    assert.equal(body, 'plain', 'a trusted proxy has ended TLS already')
  } finally {
    await trusting.stop()
  }
})

test('delegates: matches are combined, fields taken over, conflicts left out', async () => {
  const root = `
    { name: root, match: [{ uri: { prefix: /shop }, headers: { x-root: { exact: "1" } } }, { uri: { prefix: /store } }], delegate: { name: shop, namespace: team },
      headers: { response: { set: { x-from: root } } } },
    { match: [{ uri: { exact: /fixed } }], delegate: { name: fixed, namespace: team } },
    { match: [{ uri: { prefix: /gone } }], delegate: { name: gone } },
    { match: [{ uri: { prefix: /hidden } }], delegate: { name: hidden, namespace: team } },
    { ${answer('root all')} }`.replace(/\n\s*/g, ' ')
  const delegate = (name: string, http: string, exportTo?: string) =>
    virtualService(name, '', http, { namespace: 'team', ...(exportTo === undefined ? {} : { exportTo }) })
  await check(
    GATEWAY +
      virtualService('root', 'app.test', root) +
      delegate(
        'shop',
        `${rule('{ uri: { prefix: /shop/cart }, method: { exact: GET } }', 'cart')}, ${rule('{ uri: { exact: /store/x } }', 'store')}, ${rule('{ uri: { prefix: /elsewhere } }', 'conflict')}, { ${answer('shop all')} }`,
      ) +
      delegate('fixed', rule('{ uri: { prefix: / } }', 'never')) +
      delegate('hidden', `{ ${answer('never')} }`, '"."'),
    [
      { path: '/shop/cart', headers: { 'x-root': '1' }, gives: 'cart' },
      { path: '/shop/cart', gives: 'root all' },
      { path: '/shop/cart', method: 'POST', headers: { 'x-root': '1' }, gives: 'shop all' },
      { path: '/store/x', gives: 'store' },
      { path: '/store/y', gives: 'shop all' },
      { path: '/elsewhere', gives: 'root all' },
      { path: '/fixed', gives: 'root all' },
      { path: '/gone', gives: 'root all' },
      { path: '/hidden', gives: 'root all' },
    ],
  )
})

const PORTS = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: one }
spec:
  hosts: [one.test]
  ports: [{ number: 9999, name: http, protocol: HTTP, targetPort: ${echo.port} }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1 }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: two }
spec:
  hosts: [two.test]
  ports: [{ number: 80, name: http, protocol: HTTP }, { number: 81, name: other, protocol: HTTP, targetPort: 1 }]
  resolution: STATIC
  endpoints: [{ address: 127.0.0.1, ports: { http: ${echo.port}, other: ${echo.port} } }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: none }
spec: { hosts: [none.test], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: NONE }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: private }
spec: { hosts: [private.test], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 127.0.0.1, ports: { http: ${echo.port} } }], exportTo: ["."] }
---
`

test('destinations: a port that is not named is the only one, or the server’s', async () => {
  const to = (path: string, destination: string) =>
    `{ match: [{ uri: { exact: ${path} } }], route: [{ destination: ${destination} }], headers: { response: { set: { x-done: "1" } } } }`
  const gateway = await startGateway(
    GATEWAY +
      PORTS +
      routes(
        `[${[
          to('/one', '{ host: one.test }'),
          to('/one-wrong', '{ host: one.test, port: { number: 80 } }'),
          to('/two', '{ host: two.test }'),
          to('/two-other', '{ host: two.test, port: { number: 81 } }'),
          to('/two-wrong', '{ host: two.test, port: { number: 82 } }'),
          to('/subset', '{ host: two.test, subset: v9 }'),
          to('/none', '{ host: none.test }'),
          to('/private', '{ host: private.test }'),
        ].join(', ')}]`,
      ),
  )
  try {
    for (const [path, status, body] of [
      ['/one', 200, undefined],
      ['/one-wrong', 503, ''],
      ['/two', 200, undefined],
      ['/two-other', 200, undefined],
      ['/two-wrong', 503, ''],
      ['/subset', 503, ''],
      ['/none', 503, 'no healthy upstream'],
      ['/private', 503, ''],
    ] as const) {
      const result = await ask({ port: gateway.port(), path })
      assert.equal(result.status, status, path)
      if (body !== undefined) assert.equal(result.body, body, path)
      assert.equal(result.headers['x-done'], '1', path)
    }
  } finally {
    await gateway.stop()
  }
})

test('destinations: only endpoints of a Kubernetes service that are ready are used', async () => {
  const gateway = await startGateway(
    GATEWAY +
      `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { ports: [{ name: http, port: 80, targetPort: web }, { name: admin, port: 81 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: shop-1, namespace: default, labels: { kubernetes.io/service-name: shop } }
addressType: IPv4
ports: [{ name: http, port: ${echo.port} }, { name: admin, port: ${echo.port} }]
endpoints: [{ addresses: [127.0.0.1] }, { addresses: [192.0.2.1], conditions: { ready: false, serving: true, terminating: true } }]
---
` +
      routes('[{ route: [{ destination: { host: shop } }], timeout: 2s }]'),
  )
  try {
    for (let i = 0; i < 8; i++) assert.equal((await ask({ port: gateway.port() })).status, 200)
  } finally {
    await gateway.stop()
  }
})

test('destinations: weight 0 gets nothing, a single destination everything', async () => {
  const gateway = await startGateway(
    GATEWAY +
      service('echo', echo.port) +
      service('none') +
      routes(
        '[{ match: [{ uri: { prefix: /one } }], route: [{ destination: { host: echo.test }, weight: 0 }] }, { route: [{ destination: { host: none.test }, weight: 0 }, { destination: { host: echo.test }, weight: 3 }, { destination: { host: none.test } }] }]',
      ),
  )
  try {
    for (let i = 0; i < 10; i++) {
      assert.equal((await ask({ port: gateway.port(), path: '/one' })).status, 200)
      assert.equal((await ask({ port: gateway.port(), path: '/' })).status, 200)
    }
  } finally {
    await gateway.stop()
  }
})
