import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileFormat, compileJsonFormat, type FormatDependencies } from '../../../src/exchange/substitution.ts'
import { makeExchange, type ExchangeFacts } from './make-exchange.ts'

const DEPS: FormatDependencies = {
  hostname: 'gateway-1',
  environment: { POD_NAME: 'gateway-abc' },
  connectionId: () => 42,
}

function format(text: string, facts: ExchangeFacts = {}, mode: 'log' | 'header' = 'log', durationMs = 12.9): string {
  const compiled = compileFormat(text, mode, DEPS)
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.reason)
  return compiled.format(makeExchange(facts), durationMs)
}

function reasonOf(text: string): string {
  const compiled = compileFormat(text, 'log', DEPS)
  assert.equal(compiled.ok, false, `${text} compiles`)
  return compiled.ok ? '' : compiled.reason
}

const operators: Record<string, readonly [format: string, facts: ExchangeFacts, log: string]> = {
  'text without operators stays as it is': ['plain text', {}, 'plain text'],
  'two percent signs are one': ['100%% of %PROTOCOL%', {}, '100% of HTTP/1.1'],
  'START_TIME is ISO 8601 in UTC with milliseconds': ['%START_TIME%', {}, '2026-01-02T03:04:05.678Z'],
  'START_TIME takes strftime and digits of the fraction': [
    '%START_TIME(%Y/%m/%d %H:%M:%S.%3f %6f %9f %s %z)%',
    {},
    '2026/01/02 03:04:05.678 678000 678000000 1767323045 +0000',
  ],
  'START_TIME knows names, days and twelve hours': [
    '%START_TIME(%a %A %b %B %e %j %y %I%p %u %F %T %D %R %Z %%)%',
    {},
    'Fri Friday Jan January  2 002 26 03AM 5 2026-01-02 03:04:05 01/02/26 03:04 UTC %',
  ],
  'REQ reads a request header, whatever the case of its name': [
    '%REQ(USER-agent)%',
    { headers: ['user-agent', 'curl/8'] },
    'curl/8',
  ],
  'REQ shows the first line of a header': ['%REQ(x-a)%', { headers: ['x-a', '1', 'x-a', '2'] }, '1'],
  'REQ takes the second name where the first has no value': [
    '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    { path: '/p?q' },
    '/p?q',
  ],
  'REQ prefers the first name': [
    '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
    { path: '/new', headers: ['x-envoy-original-path', '/old'] },
    '/old',
  ],
  'REQ knows the pseudo-headers': [
    '%REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:SCHEME)% %REQ(Host)%',
    { method: 'PUT', authority: 'a.test:8080' },
    'PUT a.test:8080 http a.test:8080',
  ],
  'REQ with a length is cut': ['%REQ(user-agent):4%', { headers: ['user-agent', 'Mozilla/5.0'] }, 'Mozi'],
  'REQ_WITHOUT_QUERY ends before the question mark': ['%REQ_WITHOUT_QUERY(:PATH)%', { path: '/a/b?c=d' }, '/a/b'],
  'RESP reads a response header': ['%RESP(X-Up)%', { responseHeaders: ['x-up', 'a'] }, 'a'],
  'RESP is empty before there is a response': ['%RESP(X-Up)%', { responseHeaders: null }, '-'],
  'TRAILER and LOCAL_REPLY_BODY are empty': ['%TRAILER(grpc-message)% %LOCAL_REPLY_BODY%', {}, '- -'],
  'PATH chooses query and original path': [
    '%PATH(NQ:ORIG)% %PATH(WQ:PATH)% %PATH(NQ)%',
    { path: '/new?x=1', headers: ['x-envoy-original-path', '/old?y=2'] },
    '/old /new?x=1 /old',
  ],
  'QUERY_PARAM decodes the first parameter of its name': [
    '%QUERY_PARAM(q)% %QUERY_PARAM(r)%',
    { query: '?a=1&q=x%20y&q=z&r' },
    'x y -',
  ],
  'PROTOCOL names HTTP/2 without a minor version': ['%PROTOCOL%', { httpVersion: '2.0' }, 'HTTP/2'],
  'RESPONSE_CODE is 0 where none was sent': ['%RESPONSE_CODE%', { status: 0 }, '0'],
  'RESPONSE_CODE_DETAILS has underscores for blanks': [
    '%RESPONSE_CODE_DETAILS%',
    { details: 'upstream_reset{remote connection failure}' },
    'upstream_reset{remote_connection_failure}',
  ],
  'RESPONSE_FLAGS are short and long names': [
    '%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%',
    { flags: 'UF,URX' },
    'UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded',
  ],
  'no RESPONSE_FLAGS is a dash': ['%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%', {}, '- -'],
  CONNECTION_TERMINATION_DETAILS: ['%CONNECTION_TERMINATION_DETAILS%', { terminationDetails: 'x' }, 'x'],
  'GRPC_STATUS has three forms': [
    '%GRPC_STATUS% %GRPC_STATUS(CAMEL_STRING)% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%',
    { grpcStatus: '4' },
    'DeadlineExceeded DeadlineExceeded DEADLINE_EXCEEDED 4 4',
  ],
  'GRPC_STATUS is a dash without one': ['%GRPC_STATUS% %GRPC_STATUS_NUMBER%', {}, '- -'],
  'bytes are those of the bodies, wire bytes have the heads too': [
    '%BYTES_RECEIVED% %BYTES_SENT% %DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT%',
    { bytesReceived: 5, bytesSent: 7, requestHeadBytes: 100, responseHeadBytes: 200 },
    '5 7 105 207',
  ],
  'DURATION is whole milliseconds': ['%DURATION%', {}, '12'],
  'upstream facts': [
    '%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_PORT% ' +
      '%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %UPSTREAM_REQUEST_ATTEMPT_COUNT%',
    {
      upstream: {
        endpoint: '[2001:db8::1]:8080',
        cluster: 'outbound|80||a.test',
        localAddress: '10.0.0.1:5555',
        attempts: 2,
      },
    },
    '[2001:db8::1]:8080 outbound|80||a.test outbound|80||a.test 10.0.0.1:5555 5555 2001:db8::1 8080 2',
  ],
  'UPSTREAM_TRANSPORT_FAILURE_REASON has underscores for blanks': [
    '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
    { upstream: { failureReason: 'delayed connect error: 111' } },
    'delayed_connect_error:_111',
  ],
  'addresses of the client and of the peer': [
    '%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT% ' +
      '%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
    { clientAddress: '203.0.113.9:0', peerAddress: '10.1.2.3:5000' },
    '203.0.113.9:0 203.0.113.9 0 10.1.2.3:5000 10.1.2.3',
  ],
  'what is not known is a dash': [
    '%UPSTREAM_HOST% %UPSTREAM_LOCAL_PORT% %DOWNSTREAM_LOCAL_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%',
    {},
    '- - - - -',
  ],
  'ROUTE_NAME, STREAM_ID, CONNECTION_ID, HOSTNAME': [
    '%ROUTE_NAME% %STREAM_ID% %CONNECTION_ID% %HOSTNAME%',
    { route: 'main', requestId: 'id-1' },
    'main id-1 42 gateway-1',
  ],
  'ENVIRONMENT reads a variable': ['%ENVIRONMENT(POD_NAME)% %ENVIRONMENT(NOT_SET)%', {}, 'gateway-abc -'],
  'GENERATION is the plan that served the request': ['%GENERATION%', {}, '12-9f86d081'],
  'operators of Envoy that have no value here are empty': [
    '%CEL(request.size() + 1)% %FILTER_STATE(a:b):5%',
    {},
    '- -',
  ],
}

for (const [name, [text, facts, expected]] of Object.entries(operators)) {
  test(`compileFormat: ${name}`, () => {
    assert.equal(format(text, facts), expected)
  })
}

const refusals: Record<string, readonly [format: string, reason: RegExp]> = {
  'an operator that there is not is named': ['%REQUEST_HEADER(x)%', /%REQUEST_HEADER%/],
  'a single percent sign is no text': ['100% sure', /character 4.*%%/],
  'an operator that does not end': ['%REQ(x', /character 1/],
  'a name in lower case': ['%protocol%', /character 1/],
  'REQ without a name': ['%REQ()%', /%REQ%.*header name/],
  'REQ with an empty alternative': ['%REQ(A?)%', /%REQ%/],
  'an argument where none belongs': ['%PROTOCOL(x)%', /%PROTOCOL%.*no argument/],
  'a length where none belongs': ['%PROTOCOL:3%', /%PROTOCOL%.*no length/],
  'a conversion that strftime does not have': ['%START_TIME(%Q)%', /%Q/],
  'a form that GRPC_STATUS does not have': ['%GRPC_STATUS(LOUD)%', /LOUD/],
}

for (const [name, [text, reason]] of Object.entries(refusals)) {
  test(`compileFormat refuses ${name}`, () => {
    assert.match(reasonOf(text), reason)
  })
}

test('compileFormat: no value can begin a line of its own or end a quoted item', () => {
  const facts = { headers: ['user-agent', 'a"b\\c\r\n[fake] line\u0085\u00e9\0'], route: 'r\nx' }
  assert.equal(
    format('"%REQ(user-agent)%" %REQ(user-agent)% %ROUTE_NAME%', facts),
    '"a\\"b\\\\c\\r\\n[fake] line\\x85\\xe9\\x00" a"b\\c\\r\\n[fake] line\\x85\\xe9\\x00 r\\nx',
  )
})

test('compileFormat for headers: what is empty is empty, and nothing that a header cannot hold is left', () => {
  assert.equal(format('%REQ(x)%', {}, 'header'), '')
  assert.equal(format('a-%REQ(x)%', {}, 'header'), 'a-')
  assert.equal(format('%QUERY_PARAM(q)%', { query: '?q=a%0d%0ax-evil:%20b' }, 'header'), 'ax-evil: b')
  assert.equal(format('%REQ(x)%', { headers: ['x', 'caf\u00c3\u00a9'] }, 'header'), 'caf\u00c3\u00a9')
  assert.equal(format('é %ROUTE_NAME%', { route: '→' }, 'header'), '\u00c3\u00a9 \u00e2\u0086\u0092')
})

test('compileFormat for headers: a duration is empty before the request is over', () => {
  assert.equal(format('%DURATION%', {}, 'header', -1), '')
})

test('compileFormat: the time of one second does not leak into the next', () => {
  const compiled = compileFormat('%START_TIME%|%START_TIME(%S.%3f)%')
  assert.ok(compiled.ok)
  const at = (startedAt: number) => compiled.format(makeExchange({ startedAt }))
  assert.equal(at(1000), '1970-01-01T00:00:01.000Z|01.000')
  assert.equal(at(1007), '1970-01-01T00:00:01.007Z|01.007')
  assert.equal(at(2099), '1970-01-01T00:00:02.099Z|02.099')
})

function jsonLine(value: unknown, facts: ExchangeFacts = {}): unknown {
  const compiled = compileJsonFormat(value, DEPS)
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.reason)
  return JSON.parse(compiled.format(makeExchange(facts), 3))
}

test('compileJsonFormat: a single numeric operator is a number, a header a string, nothing is null', () => {
  const value = { code: '%RESPONSE_CODE%', time: '%RESP(x-time)%', agent: '%REQ(user-agent)%', ms: '%DURATION% ms' }
  assert.deepEqual(jsonLine(value, { responseHeaders: ['x-time', '3'] }), {
    code: 200,
    time: '3',
    agent: null,
    ms: '3 ms',
  })
})

test('compileJsonFormat: objects and lists nest, other values stay', () => {
  const value = { a: { b: ['%PROTOCOL%', 1, true, null] }, 'k"': 'x%%"%REQ(none)%' }
  assert.deepEqual(jsonLine(value), { a: { b: ['HTTP/1.1', 1, true, null] }, 'k"': 'x%"-' })
})

test('compileJsonFormat: what a client sends is read as UTF-8 and cannot leave its string', () => {
  const facts = { headers: ['user-agent', 'caf\u00c3\u00a9 "\\\n\u00ff'] }
  assert.deepEqual(jsonLine({ a: '%REQ(user-agent)%', b: '<%REQ(user-agent)%>' }, facts), {
    a: 'café "\\\n\ufffd',
    b: '<café "\\\n\ufffd>',
  })
})

test('compileJsonFormat refuses what is no object, and bad operators inside', () => {
  assert.deepEqual(compileJsonFormat(['%PROTOCOL%']).ok, false)
  assert.deepEqual(compileJsonFormat({ a: { b: '%NO%' } }).ok, false)
})

test('DOWNSTREAM_LOCAL_ADDRESS is the address that the client connected to', () => {
  const compiled = compileFormat('%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT%')
  assert.ok(compiled.ok)
  const exchange = makeExchange()
  exchange.localAddress = '[::1]:8080'
  assert.equal(compiled.format(exchange), '[::1]:8080 8080')
})

test('what a client has shown in the TLS handshake is known, and empty without it', () => {
  const compiled = compileFormat(
    '%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_FINGERPRINT_256% %DOWNSTREAM_PEER_SERIAL%',
    'log',
    DEPS,
  )
  assert.ok(compiled.ok)
  const exchange = makeExchange({})
  assert.equal(compiled.format(exchange, 0), '- - - -')
  exchange.clientCertificate = {
    verified: true,
    uris: ['spiffe://a/ns/b/sa/c', 'spiffe://a/ns/b/sa/d'],
    dnsNames: [],
    identity: null,
    subject: 'CN=buyer',
    issuer: 'CN=own',
    sha256: '00ff',
    sha1: '00',
    serialNumber: '1a',
    validFrom: 0,
    validTo: 0,
    encodedPem: '',
    forwardedElement: '',
  }
  assert.equal(compiled.format(exchange, 0), 'spiffe://a/ns/b/sa/c,spiffe://a/ns/b/sa/d CN=buyer 00ff 1a')
})
