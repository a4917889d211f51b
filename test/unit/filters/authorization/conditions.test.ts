import assert from 'node:assert/strict'
import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import test from 'node:test'
import type { Exchange } from '../../../../src/exchange/exchange.ts'
import { compileCondition } from '../../../../src/filters/authorization/conditions.ts'
import type { ConditionPlan } from '../../../../src/plan/authorization.ts'
import { type Facts, makeRequest, operation, source, when } from './make-rules.ts'

type Case = readonly [conditions: ConditionPlan[], holds: readonly Facts[], fails: readonly Facts[]]

function check(cases: readonly Case[]): void {
  for (const [conditions, holds, fails] of cases) {
    const tests = conditions.map(compileCondition)
    const evaluate = (exchange: Exchange) => tests.every((condition) => condition(exchange))
    for (const facts of holds) assert.equal(evaluate(makeRequest(facts)), true, JSON.stringify([conditions, facts]))
    for (const facts of fails) assert.equal(evaluate(makeRequest(facts)), false, JSON.stringify([conditions, facts]))
  }
}

const alice = { iss: 'https://idp.test', sub: 'alice' }

test('hosts are compared in any letter case, with the port that the client wrote', () => {
  check([
    [
      operation({ hosts: ['App.test'] }),
      [{ authority: 'app.TEST' }],
      [{ authority: 'app.test:8080' }, { authority: 'a.test' }],
    ],
    [operation({ hosts: ['app.test:*'] }), [{ authority: 'App.test:8080' }], [{ authority: 'app.test' }]],
    [operation({ hosts: ['*.TEST'] }), [{ authority: 'a.Test' }], [{ authority: 'test' }]],
    [operation({ notHosts: ['app.test'] }), [{ authority: 'other.test' }], [{ authority: 'APP.test' }]],
    [operation({ hosts: ['*'] }), [{ authority: 'x' }], []],
  ])
})

test('methods are compared as they are', () => {
  check([
    [operation({ methods: ['GET', 'P*'] }), [{ method: 'GET' }, { method: 'PUT' }], [{ method: 'get' }]],
    [operation({ notMethods: ['*'] }), [], [{ method: 'GET' }]],
  ])
})

test('the query is no part of the path', () => {
  check([
    [operation({ paths: ['/a'] }), [{ path: '/a' }, { path: '/a?b' }], [{ path: '/b?/a' }]],
    [operation({ notPaths: ['*.bak'] }), [{ path: '/a?x=.bak' }], [{ path: '/a.bak?x' }]],
  ])
})

test('ports are those of the Gateway server', () => {
  check([
    [operation({ ports: ['80', '443'] }), [{ local: '10.0.0.1:8080' }], []],
    [operation({ notPorts: ['80'] }), [], [{}]],
    [when({ key: 'destination.port', values: ['443'] }), [], [{}]],
  ])
})

test('addresses are those of the peer, of the client that it speaks for, and of the gateway', () => {
  check([
    [
      source({ ipBlocks: ['192.0.2.0/24'] }),
      [{ peer: '192.0.2.1:1', client: '203.0.113.1:1' }],
      [{ peer: '203.0.113.1:1', client: '192.0.2.1:1' }],
    ],
    [
      source({ remoteIpBlocks: ['192.0.2.0/24'] }),
      [{ peer: '203.0.113.1:1', client: '192.0.2.1:1' }],
      [{ peer: '192.0.2.1:1', client: '203.0.113.1:1' }],
    ],
    [source({ notIpBlocks: ['192.0.2.1'] }), [{ peer: '192.0.2.2:1' }], [{ peer: '192.0.2.1:1' }]],
    [when({ key: 'destination.ip', values: ['10.0.0.1'] }), [{}], [{ local: '10.0.0.2:80' }]],
    [when({ key: 'source.ip', values: ['192.0.2.7'], notValues: ['10.0.0.0/8'] }), [{}], [{ peer: '10.0.0.1:1' }]],
    [when({ key: 'remote.ip', values: ['2001:db8::/32'] }), [{ client: '[2001:db8::1]:1' }], [{}]],
  ])
})

test('headers are there, with any value, or have the value; lines of one name are one value', () => {
  check([
    [
      when({ key: 'request.headers[X-Token]', values: ['a', 'k-*'] }),
      [{ headers: ['x-token', 'a'] }, { headers: ['x-token', 'k-1'] }],
      [{}, { headers: ['x-token', 'A'] }, { headers: ['x-token', 'a', 'x-token', 'b'] }],
    ],
    [
      when({ key: 'request.headers[x-any]', values: ['*'] }),
      [{ headers: ['x-any', '0'] }, { headers: ['x-any', ''] }],
      [{}, { headers: ['x-other', '1'] }],
    ],
    [when({ key: 'request.headers[x-any]', notValues: ['*'] }), [{}], [{ headers: ['x-any', ''] }]],
    [
      when({ key: 'request.headers[user-agent]', notValues: ['bad*'] }),
      [{}, { headers: ['user-agent', 'good'] }],
      [{ headers: ['user-agent', 'bad/1'] }],
    ],
    [when({ key: 'request.headers[Host]', values: ['example.com'] }), [{}], [{ authority: 'other.test' }]],
    [when({ key: 'request.headers[:path]', values: ['/a?b'] }), [{ path: '/a?b' }], [{ path: '/a' }]],
  ])
})

test('a request principal is issuer and subject of a token that has both', () => {
  const other = { iss: 'https://idp.test', sub: 'bob' }
  check([
    [
      source({ requestPrincipals: ['*'] }),
      [{ tokens: [alice] }],
      [{}, { tokens: [{ iss: 'https://idp.test' }] }, { tokens: [{ sub: 'alice' }] }],
    ],
    [source({ requestPrincipals: ['https://idp.test/alice'] }), [{ tokens: [alice] }], [{ tokens: [other] }, {}]],
    [
      source({ requestPrincipals: ['https://idp.test/*'] }),
      [{ tokens: [alice] }, { tokens: [other] }],
      [{ tokens: [{ ...alice, iss: 'https://idp.test.evil' }] }, { tokens: [{ iss: 'https://idp.test' }] }],
    ],
    [source({ requestPrincipals: ['*/alice'] }), [{ tokens: [alice] }], [{ tokens: [other] }]],
    [source({ requestPrincipals: ['*.test/alice'] }), [{ tokens: [alice] }], [{ tokens: [{ ...alice, iss: 'x' }] }]],
    [source({ requestPrincipals: ['https://idp.test/al*'] }), [{ tokens: [alice] }], [{ tokens: [other] }]],
    [source({ requestPrincipals: ['*ice'] }), [{ tokens: [alice] }], [{ tokens: [other] }]],
    [source({ requestPrincipals: ['https*'] }), [], [{ tokens: [{ ...alice, iss: 'http://idp.test' }] }]],
    [source({ requestPrincipals: ['idp*'] }), [{ tokens: [{ iss: 'idp.test', sub: 'a' }] }], [{ tokens: [alice] }]],
    [source({ requestPrincipals: ['https://idp.test'] }), [], [{ tokens: [alice] }]],
    [source({ notRequestPrincipals: ['*'] }), [{}], [{ tokens: [alice] }]],
    [when({ key: 'request.auth.principal', values: ['https://idp.test/alice'] }), [{ tokens: [alice] }], [{}]],
  ])
})

test('claims are texts or lists of texts, however deep; nothing else matches', () => {
  const claim = (value: unknown) => ({ tokens: [{ ...alice, group: value }] })
  check([
    [
      when({ key: 'request.auth.claims[group]', values: ['a', 'ops-*'] }),
      [claim('a'), claim(['x', 'a']), claim('ops-1'), claim([1, null, 'ops-']), claim(['ops-eu'])],
      [{}, claim('b'), claim([]), claim(true), claim(1), claim({ a: 'a' }), claim(['b', ['a']]), claim(null)],
    ],
    [when({ key: 'request.auth.claims[group]', values: ['1', 'true'] }), [], [claim(1), claim(true), claim([1])]],
    [
      when({ key: 'request.auth.claims[group]', values: ['*'] }),
      [claim('a'), claim(['a'])],
      [{}, claim(''), claim([])],
    ],
    [when({ key: 'request.auth.claims[group]', notValues: ['a'] }), [{}, claim('b'), claim(1)], [claim(['b', 'a'])]],
    [
      when({ key: 'request.auth.claims[tier]', values: ['*'], notValues: ['free'] }),
      [{ tokens: [{ tier: 'gold' }] }],
      [{}, { tokens: [{ tier: 'free' }] }],
    ],
    [
      when({ key: 'request.auth.claims[group][team.name]', values: ['blue'] }),
      [claim({ 'team.name': 'blue' }), claim({ 'team.name': ['red', 'blue'] })],
      [claim({ team: { name: 'blue' } }), claim('blue'), claim([{ 'team.name': 'blue' }])],
    ],
    [when({ key: 'request.auth.claims[constructor][name]', values: ['*'] }), [], [{ tokens: [alice] }]],
  ])
})

test('audiences and presenter come from the token', () => {
  check([
    [
      when({ key: 'request.auth.audiences', values: ['web'] }),
      [{ tokens: [{ aud: 'web' }] }, { tokens: [{ aud: ['x', 'web'] }] }],
      [{}, { tokens: [{ aud: 'mobile' }] }, { tokens: [alice] }],
    ],
    [when({ key: 'request.auth.audiences', notValues: ['web'] }), [{}], [{ tokens: [{ aud: ['x', 'web'] }] }]],
    [
      when({ key: 'request.auth.presenter', values: ['app'] }),
      [{ tokens: [{ azp: 'app' }] }],
      [{ tokens: [alice] }, {}],
    ],
  ])
})

test('what one token lacks another one does not lend', () => {
  const admin = { iss: 'other', sub: 'x', group: 'admins' }
  check([[when({ key: 'request.auth.claims[group]', values: ['admins'] }), [], [{ tokens: [alice, admin] }]]])
})

test('without a client certificate no source identity matches, and every negation of one does', () => {
  check([
    [source({ principals: ['*'] }), [], [{}]],
    [source({ namespaces: ['*'] }), [], [{}]],
    [source({ serviceAccounts: ['a'] }), [], [{}]],
    [source({ trustDomains: ['*'] }), [], [{}]],
    [source({ notPrincipals: ['*'] }), [{}], []],
    [source({ notNamespaces: ['*'] }), [{}], []],
    [when({ key: 'source.principal', values: ['*'] }), [], [{}]],
    [when({ key: 'source.principal', notValues: ['*'] }), [{}], []],
    [when({ key: 'experimental.envoy.filters.http.x[y]', values: ['*'] }), [], [{}]],
    [when({ key: 'experimental.envoy.filters.http.x[y]', notValues: ['a'] }), [{}], []],
  ])
})

test('the server name that TLS was asked for is compared in lower case; in plain text there is none', () => {
  const [condition] = when({ key: 'connection.sni', values: ['app.test'] })
  const matches = compileCondition(condition!)
  const exchange = makeRequest({ req: new IncomingMessage(Object.assign(new Socket(), { servername: 'APP.test' })) })
  assert.equal(matches(exchange), false)
  Object.assign(exchange, { listener: { ...exchange.listener, tls: true } })
  assert.equal(matches(exchange), true)
})

test('an exchange without the address that a condition needs is an error', () => {
  const matches = compileCondition(source({ notIpBlocks: ['10.0.0.0/8'] })[0]!)
  assert.throws(() => matches(makeRequest({ peer: '' })), /is no IP address/)
})
