import assert from 'node:assert/strict'
import { test } from 'node:test'
import { assert as hold, property, record, string, constantFrom, integer, stringMatching } from 'fast-check'
import { compileFormat, compileJsonFormat } from '../../../src/exchange/substitution.ts'
import {
  createDefaultJsonLine,
  createDefaultTextLine,
  DEFAULT_JSON_FORMAT,
  DEFAULT_TEXT_FORMAT,
} from '../../../src/observability/access-log-lines.ts'
import { compileLogLine } from '../../../src/observability/access-log.ts'
import { makeExchange, type ExchangeFacts } from '../exchange/make-exchange.ts'

const NO_DEPS = { hostname: '', environment: {} }

const ANSWERED: ExchangeFacts = {
  method: 'POST',
  path: '/new?q=1',
  headers: [
    'user-agent',
    'conformance/1',
    'x-forwarded-for',
    '203.0.113.9,192.0.2.7',
    'x-request-id',
    '11111111-2222-4333-8444-555555555555',
    'x-envoy-original-path',
    '/old?q=1',
  ],
  responseHeaders: ['content-type', 'text/plain', 'x-envoy-upstream-service-time', '7'],
  bytesReceived: 5,
  bytesSent: 1234,
  route: 'main',
  upstream: {
    cluster: 'outbound|80||a.mesh.test',
    endpoint: '10.0.0.9:8080',
    localAddress: '10.0.0.1:50000',
    attempts: 1,
  },
}

const REFUSED: ExchangeFacts = {
  status: 503,
  flags: 'UF',
  details: 'upstream_reset_before_response_started{remote connection failure}',
  bytesSent: 91,
  upstream: { cluster: 'outbound|80||b', endpoint: '10.0.0.9:1', failureReason: 'connection refused' },
}

const lines: Record<string, { facts: ExchangeFacts; text: string; json: Record<string, unknown> }> = {
  'an answer of an upstream': {
    facts: ANSWERED,
    text:
      '[2026-01-02T03:04:05.678Z] "POST /old?q=1 HTTP/1.1" 200 - via_upstream - "-" 5 1234 12 7 ' +
      '"203.0.113.9,192.0.2.7" "conformance/1" "11111111-2222-4333-8444-555555555555" "app.test" "10.0.0.9:8080" ' +
      'outbound|80||a.mesh.test 10.0.0.1:50000 - 192.0.2.7:4444 - main\n',
    json: {
      start_time: '2026-01-02T03:04:05.678Z',
      method: 'POST',
      path: '/old?q=1',
      protocol: 'HTTP/1.1',
      response_code: 200,
      response_flags: '-',
      response_code_details: 'via_upstream',
      connection_termination_details: null,
      bytes_received: 5,
      bytes_sent: 1234,
      duration: 12,
      upstream_service_time: '7',
      x_forwarded_for: '203.0.113.9,192.0.2.7',
      user_agent: 'conformance/1',
      request_id: '11111111-2222-4333-8444-555555555555',
      authority: 'app.test',
      upstream_host: '10.0.0.9:8080',
      upstream_cluster: 'outbound|80||a.mesh.test',
      upstream_local_address: '10.0.0.1:50000',
      downstream_local_address: null,
      downstream_remote_address: '192.0.2.7:4444',
      requested_server_name: null,
      route_name: 'main',
      upstream_transport_failure_reason: null,
      generation: '12-9f86d081',
    },
  },
  'an endpoint that could not be reached': {
    facts: REFUSED,
    text:
      '[2026-01-02T03:04:05.678Z] "GET / HTTP/1.1" 503 UF ' +
      'upstream_reset_before_response_started{remote_connection_failure} - "connection_refused" 0 91 12 - "-" "-" "-" ' +
      '"app.test" "10.0.0.9:1" outbound|80||b - - 192.0.2.7:4444 - -\n',
    json: {
      start_time: '2026-01-02T03:04:05.678Z',
      method: 'GET',
      path: '/',
      protocol: 'HTTP/1.1',
      response_code: 503,
      response_flags: 'UF',
      response_code_details: 'upstream_reset_before_response_started{remote_connection_failure}',
      connection_termination_details: null,
      bytes_received: 0,
      bytes_sent: 91,
      duration: 12,
      upstream_service_time: null,
      x_forwarded_for: null,
      user_agent: null,
      request_id: null,
      authority: 'app.test',
      upstream_host: '10.0.0.9:1',
      upstream_cluster: 'outbound|80||b',
      upstream_local_address: null,
      downstream_local_address: null,
      downstream_remote_address: '192.0.2.7:4444',
      requested_server_name: null,
      route_name: null,
      upstream_transport_failure_reason: 'connection_refused',
      generation: '12-9f86d081',
    },
  },
}

for (const [name, { facts, text, json }] of Object.entries(lines)) {
  test(`the default text line of ${name}`, () => {
    assert.equal(createDefaultTextLine()(makeExchange(facts), 12.9), text)
  })

  test(`the default JSON line of ${name}`, () => {
    const line = createDefaultJsonLine()(makeExchange(facts), 12.9)
    assert.deepEqual(Object.entries(JSON.parse(line) as object), Object.entries(json))
    assert.equal(line.indexOf('\n'), line.length - 1)
  })
}

const value = string({ unit: 'binary', maxLength: 12 }).map((text) => text.replaceAll(/[^\0-\u00ff]/g, '\u00ff'))
const anyFacts = record({
  method: constantFrom('GET', 'POST'),
  path: value,
  authority: value,
  flags: constantFrom('', 'UF', 'UF,URX'),
  details: string({ maxLength: 12 }),
  terminationDetails: string({ maxLength: 5 }),
  status: constantFrom(0, 200, 503),
  bytesSent: integer({ min: 0, max: 2 ** 40 }),
  route: string({ maxLength: 8 }),
  headers: record({ a: value, b: value, c: value, d: value }).map(({ a, b, c, d }) => [
    'user-agent',
    a,
    'x-forwarded-for',
    b,
    'x-request-id',
    c,
    'user-agent',
    d,
    'x-envoy-original-path',
    c,
  ]),
  responseHeaders: value.map((time) => ['x-envoy-upstream-service-time', time]),
  upstream: record({ cluster: stringMatching(/^[a-z|.]{0,9}$/), failureReason: string({ maxLength: 9 }) }),
})

test('the default lines are what their formats give, whatever a request holds', () => {
  const text = compileFormat(DEFAULT_TEXT_FORMAT)
  const json = compileJsonFormat(DEFAULT_JSON_FORMAT)
  assert.ok(text.ok && json.ok)
  const [textLine, jsonLine] = [createDefaultTextLine(), createDefaultJsonLine()]
  hold(
    property(anyFacts, (facts) => {
      const exchange = makeExchange(facts)
      assert.equal(textLine(exchange, 3), text.format(exchange, 3))
      assert.equal(jsonLine(exchange, 3), `${json.format(exchange, 3)}\n`)
      JSON.parse(jsonLine(exchange, 3))
      assert.match(textLine(exchange, 3), /^[\x20-\x7e\u0100-\uffff]*\n$/)
    }),
    { numRuns: 200 },
  )
})

test('a format of its own gets the newline that it lacks, and no second one', () => {
  const line = (format: string, encoding: 'TEXT' | 'JSON' = 'TEXT') => {
    const compiled = compileLogLine({ encoding, format }, NO_DEPS)
    assert.ok(compiled.ok)
    return compiled.line(makeExchange(), 1)
  }
  assert.equal(line('%RESPONSE_CODE%'), '200\n')
  assert.equal(line('%RESPONSE_CODE%\n'), '200\n')
  assert.equal(line('{"code":"%RESPONSE_CODE%","x":"%REQ(x)%"}', 'JSON'), '{"code":200,"x":null}\n')
})

test('a format that is none is refused with the reason', () => {
  const bad = [
    [{ encoding: 'TEXT', format: '%NO%' }, /%NO%/],
    [{ encoding: 'JSON', format: '{"a":' }, /not JSON/],
    [{ encoding: 'JSON', format: '"%PROTOCOL%"' }, /object/],
  ] as const
  for (const [plan, reason] of bad) {
    const compiled = compileLogLine(plan, NO_DEPS)
    assert.ok(!compiled.ok)
    assert.match(compiled.reason, reason)
  }
})
