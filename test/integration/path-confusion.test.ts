/**
 * What a policy saw is what the upstream gets: every spelling of a path and of a host is sent twice, first to see what
 * reaches the upstream, then with a policy that denies exactly that and nothing else.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { PathNormalization } from '../../src/plan/plan.ts'
import { GATEWAY, raw, routes, service } from '../support/live.ts'
import { type ObservedGateway, type Seen, startEcho, startObserved } from '../support/observed.ts'

const echo = await startEcho()
after(() => echo.stop())

const to = '[{ route: [{ destination: { host: echo.test } }] }]'
const BASE = GATEWAY + service('echo', echo.port) + routes(to, '*')

/** What reaches the upstream, path and query; a number is the gateway's own answer. */
type Outcome = string | number
const MODES = ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const

/** By spelling: in every mode, or in each of `MODES`. */
const PATHS: Readonly<Record<string, Outcome | readonly [Outcome, Outcome, Outcome, Outcome]>> = {
  '/a/b': '/a/b',
  '/A/b': '/A/b',
  '/a/../b': ['/a/../b', '/b', '/b', '/b'],
  '/a/./b': ['/a/./b', '/a/b', '/a/b', '/a/b'],
  '/../../a': ['/../../a', '/a', '/a', '/a'],
  '/a/b/..': ['/a/b/..', '/a/', '/a/', '/a/'],
  '//a//b': ['//a//b', '//a//b', '/a/b', '/a/b'],
  '/a//../b': ['/a//../b', '/a/b', '/a/b', '/a/b'],
  '/a%2fb': ['/a%2fb', '/a%2fb', '/a%2fb', '/a/b'],
  '/a%2Fb': ['/a%2Fb', '/a%2Fb', '/a%2Fb', '/a/b'],
  '/a%5cb': ['/a%5cb', '/a%5cb', '/a%5cb', '/a/b'],
  '/a%2f..%2Fb': ['/a%2f..%2Fb', '/a%2f..%2Fb', '/a%2f..%2Fb', '/b'],
  '/a%2f%2fb': ['/a%2f%2fb', '/a%2f%2fb', '/a%2f%2fb', '/a/b'],
  '/a\\b': ['/a\\b', '/a/b', '/a/b', '/a/b'],
  '/a\\..\\b': ['/a\\..\\b', '/b', '/b', '/b'],
  '/%61/b': ['/%61/b', '/a/b', '/a/b', '/a/b'],
  '/a/%2e%2e/b': ['/a/%2e%2e/b', '/b', '/b', '/b'],
  '/a/.%2E/b': ['/a/.%2E/b', '/b', '/b', '/b'],
  '/%2561/b': '/%2561/b',
  '/a/%252e%252e/b': '/a/%252e%252e/b',
  '/a%252fb': '/a%252fb',
  '/a/%c0%ae%c0%ae/b': '/a/%c0%ae%c0%ae/b',
  '/a;x=1/b': '/a;x=1/b',
  '/a;/../b': ['/a;/../b', '/b', '/b', '/b'],
  '/a/..;/b': '/a/..;/b',
  '/a#/../b': '/a',
  '/a?x=/../b': '/a?x=/../b',
  '/a/../b?x=//%2f': ['/a/../b?x=//%2f', '/b?x=//%2f', '/b?x=//%2f', '/b?x=//%2f'],
  'http://app.test/a/../b': ['/a/../b', '/b', '/b', '/b'],
  '/a%00b': ['/a%00b', 400, 400, 400],
  'a/b': 400,
}

/** Host by Host: what reaches the upstream. */
const HOSTS: Readonly<Record<string, Outcome>> = {
  'app.test': 'app.test',
  'APP.Test': 'APP.Test',
  'app.test:80': 'app.test:80',
  'app.test:': 'app.test:',
  'app.test.': 'app.test.',
  '[::1]:80': '[::1]:80',
  'user@app.test': 400,
  'app.test/x': 400,
  'app.test:80:80': 400,
  'app.test, other.test': 400,
}

async function send(gateway: ObservedGateway, target: string, host: string) {
  const request = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
  const { text } = await raw(gateway.port(), request)
  const status = Number(/^HTTP\/1\.1 (\d+) /.exec(text)?.[1])
  const body = text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)
  return { status, seen: status === 200 ? (JSON.parse(body) as Seen) : null }
}

const deny = (operation: object) =>
  `${JSON.stringify({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'deny', namespace: 'istio-system' },
    spec: { action: 'DENY', rules: [{ to: [{ operation }] }] },
  })}\n---\n`

for (const [index, mode] of MODES.entries()) {
  test(`paths with ${mode}: what is denied is what would reach the upstream`, async () => {
    const gateway = await startObserved(BASE, { mesh: { pathNormalization: mode satisfies PathNormalization } })
    try {
      const reached = new Map<string, string>()
      for (const [spelling, outcomes] of Object.entries(PATHS)) {
        const expected = typeof outcomes === 'object' ? outcomes[index]! : outcomes
        const { status, seen } = await send(gateway, spelling, 'app.test')
        assert.equal(seen === null ? status : seen.url, expected, spelling)
        if (seen !== null) reached.set(spelling, seen.url.replace(/\?.*$/, ''))
      }
      for (const path of new Set(reached.values())) {
        await gateway.apply(BASE + deny({ paths: [path] }))
        const checks = Array.from(reached, async ([spelling, other]) => {
          const { status } = await send(gateway, spelling, 'app.test')
          assert.equal(status, other === path ? 403 : 200, `${spelling} where ${path} is denied`)
        })
        await Promise.all(checks)
      }
    } finally {
      await gateway.stop()
    }
  })
}

test('hosts: what is denied is what would reach the upstream, in any letter case', async () => {
  const gateway = await startObserved(BASE)
  try {
    const reached = new Map<string, string>()
    for (const [spelling, expected] of Object.entries(HOSTS)) {
      const { status, seen } = await send(gateway, '/', spelling)
      assert.equal(seen === null ? status : seen.headers['host'], expected, spelling)
      if (seen !== null) reached.set(spelling, String(seen.headers['host']).toLowerCase())
    }
    for (const host of new Set(reached.values())) {
      await gateway.apply(BASE + deny({ hosts: [host] }))
      for (const [spelling, other] of reached) {
        const { status } = await send(gateway, '/', spelling)
        assert.equal(status, other === host ? 403 : 200, `${spelling} where ${host} is denied`)
      }
    }
  } finally {
    await gateway.stop()
  }
})

test('a host with a trailing dot is another host: routes for the name without it do not take it', async () => {
  const gateway = await startObserved(GATEWAY + service('echo', echo.port) + routes(to, 'app.test'))
  try {
    assert.equal((await send(gateway, '/', 'app.test.')).status, 404)
    assert.equal((await send(gateway, '/', 'app.test:80')).status, 200)
  } finally {
    await gateway.stop()
  }
})
