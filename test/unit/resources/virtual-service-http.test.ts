import { type RuleCase, testRules } from './rule-cases.ts'

const to = (host = 'reviews', more: object = {}) => ({ destination: { host, ...more } })
const rule = { route: [to()] }
const spec = (change: object) => ({ hosts: ['a.com'], gateways: ['main'], http: [rule], ...change })
const http = (change: object) => spec({ http: [{ ...rule, ...change }] })
const match = (change: object) => http({ match: [change] })
const rule0 = '/spec/http/0'
const match0 = `${rule0}/match/0`

const matches: Record<string, RuleCase> = {
  'a header match is not null': {
    bad: match({ headers: { a: null } }),
    good: match({ headers: { a: {} } }),
    at: `${match0}/headers/a`,
  },
  'a header name is a token': {
    bad: match({ headers: { 'a b': {} } }),
    good: match({ headers: { ':path': {} } }),
    at: `${match0}/headers/a b`,
  },
  'claims are matched on gateways': {
    bad: {
      hosts: ['a.com'],
      http: [{ ...rule, match: [{ headers: { '@request.auth.claims.sub': { exact: 'a' } } }] }],
    },
    good: match({ headers: { '@request.auth.claims.sub': { exact: 'a' } } }),
    at: `${match0}/headers/@request.auth.claims.sub`,
  },
  'an empty prefix is for uri alone': {
    bad: match({ authority: { prefix: '' } }),
    good: match({ uri: { prefix: '' } }),
    at: `${match0}/authority/prefix`,
  },
  'a regex is not empty': {
    bad: match({ uri: { regex: '' } }),
    good: match({ uri: { regex: '.*' } }),
    at: `${match0}/uri/regex`,
  },
  'a regex is RE2': {
    bad: match({ uri: { regex: '(?=a)' } }),
    good: match({ uri: { regex: '(?i)a' } }),
    at: `${match0}/uri/regex`,
  },
  'a regex is at most 1024 characters': {
    bad: match({ uri: { regex: 'a'.repeat(1025) } }),
    good: match({ uri: { regex: 'a'.repeat(1024) } }),
    at: `${match0}/uri/regex`,
  },
  'a regex "*" is for withoutHeaders alone': {
    bad: match({ headers: { a: { regex: '*' } } }),
    good: match({ withoutHeaders: { a: { regex: '*' } } }),
    at: `${match0}/headers/a/regex`,
  },
  'a query parameter follows the rules of text': {
    bad: match({ queryParams: { q: { regex: '[' } } }),
    good: match({ queryParams: { q: { exact: '' } } }),
    at: `${match0}/queryParams/q/regex`,
  },
  'one test of text excludes another': {
    bad: match({ uri: { exact: '/a', prefix: '/a' } }),
    good: match({ uri: { prefix: '/a' } }),
    at: `${match0}/uri/prefix`,
  },
  'a source label is one': {
    bad: match({ sourceLabels: { 'a b': 'c' } }),
    good: match({ sourceLabels: { 'a/b': 'c' } }),
    at: `${match0}/sourceLabels/a b`,
  },
  'a source namespace is a label': {
    bad: match({ sourceNamespace: 'a.b' }),
    good: match({ sourceNamespace: 'a-b' }),
    at: `${match0}/sourceNamespace`,
  },
  'a matched port is in range': { bad: match({ port: 0 }), good: match({ port: 443 }), at: `${match0}/port` },
  'a matched gateway has a name': {
    bad: match({ gateways: ['/'] }),
    good: match({ gateways: ['mesh'] }),
    at: `${match0}/gateways/0`,
  },
  'a rule behind a catch-all is never used': {
    bad: spec({ http: [rule, { ...rule, match: [{ uri: { prefix: '/a' } }] }] }),
    good: spec({ http: [{ ...rule, match: [{ uri: { prefix: '/a' } }] }, rule] }),
    at: '/spec/http/1',
    severity: 'warning',
    istioCode: 'IST0130',
  },
  'a rule behind a shorter prefix is never used': {
    bad: spec({
      http: [
        { ...rule, match: [{ uri: { prefix: '/a' } }] },
        { ...rule, match: [{ uri: { exact: '/a/b' } }] },
      ],
    }),
    good: spec({
      http: [
        { ...rule, match: [{ uri: { prefix: '/a' }, port: 80 }] },
        { ...rule, match: [{ uri: { exact: '/a/b' } }] },
      ],
    }),
    at: '/spec/http/1',
    severity: 'warning',
    istioCode: 'IST0130',
  },
  'a repeated match adds nothing': {
    bad: spec({
      http: [
        { ...rule, match: [{ method: { exact: 'GET' } }] },
        { ...rule, match: [{ method: { exact: 'GET' } }, { method: { exact: 'PUT' } }] },
      ],
    }),
    good: spec({
      http: [
        { ...rule, match: [{ method: { exact: 'GET' } }] },
        { ...rule, match: [{ method: { exact: 'PUT' } }] },
      ],
    }),
    at: '/spec/http/1/match/0',
    severity: 'info',
    istioCode: 'IST0131',
  },
}

const policies: Record<string, RuleCase> = {
  'a timeout is whole milliseconds': {
    bad: http({ timeout: '100us' }),
    good: http({ timeout: '1ms' }),
    at: `${rule0}/timeout`,
  },
  'a timeout has a unit': { bad: http({ timeout: 5 }), good: http({ timeout: '0s' }), at: `${rule0}/timeout` },
  'attempts are not negative': {
    bad: http({ retries: { attempts: -1 } }),
    good: http({ retries: { attempts: 0 } }),
    at: `${rule0}/retries/attempts`,
  },
  'without attempts there is no perTryTimeout': {
    bad: http({ retries: { perTryTimeout: '1s' } }),
    good: http({ retries: { attempts: 1, perTryTimeout: '1s' } }),
    at: `${rule0}/retries/perTryTimeout`,
  },
  'perTryTimeout is at least a millisecond': {
    bad: http({ retries: { attempts: 1, perTryTimeout: '0s' } }),
    good: http({ retries: { attempts: 1, perTryTimeout: '1ms' } }),
    at: `${rule0}/retries/perTryTimeout`,
  },
  'backoff is at least a millisecond': {
    bad: http({ retries: { attempts: 1, backoff: '0s' } }),
    good: http({ retries: { attempts: 1, backoff: '25ms' } }),
    at: `${rule0}/retries/backoff`,
  },
  'retryOn knows its words': {
    bad: http({ retries: { attempts: 1, retryOn: '5xx,sometimes' } }),
    good: http({ retries: { attempts: 1, retryOn: '5xx,503,unavailable' } }),
    at: `${rule0}/retries/retryOn`,
  },
  'retryOn has no blanks': {
    bad: http({ retries: { attempts: 1, retryOn: '5xx, reset' } }),
    good: http({ retries: { attempts: 1, retryOn: '5xx,reset' } }),
    at: `${rule0}/retries/retryOn`,
  },
  'a status in retryOn is a known one': {
    bad: http({ retries: { attempts: 1, retryOn: '599' } }),
    good: http({ retries: { attempts: 1, retryOn: '502' } }),
    at: `${rule0}/retries/retryOn`,
  },
  'a fault does something': {
    bad: http({ fault: {} }),
    good: http({ fault: { delay: { fixedDelay: '1s' } } }),
    at: `${rule0}/fault`,
  },
  'a delay has a length': {
    bad: http({ fault: { delay: {} } }),
    good: http({ fault: { delay: { fixedDelay: '1s' } } }),
    at: `${rule0}/fault/delay`,
  },
  'exponentialDelay is not supported': {
    bad: http({ fault: { delay: { exponentialDelay: '1s' } } }),
    good: http({ fault: { delay: { fixedDelay: '1s' } } }),
    at: `${rule0}/fault/delay/exponentialDelay`,
  },
  'a share of faults is a percentage': {
    bad: http({ fault: { abort: { httpStatus: 500, percentage: { value: 101 } } } }),
    good: http({ fault: { abort: { httpStatus: 500, percentage: { value: 0.0001 } } } }),
    at: `${rule0}/fault/abort/percentage/value`,
  },
  'a share of faults is not below one in a million': {
    bad: http({ fault: { delay: { fixedDelay: '1s', percentage: { value: 0.00001 } } } }),
    good: http({ fault: { delay: { fixedDelay: '1s', percentage: { value: 0 } } } }),
    at: `${rule0}/fault/delay/percentage/value`,
  },
  'an abort has a status in range': {
    bad: http({ fault: { abort: { httpStatus: 199, percentage: { value: 1 } } } }),
    good: http({ fault: { abort: { httpStatus: 200, percentage: { value: 1 } } } }),
    at: `${rule0}/fault/abort/httpStatus`,
  },
  'an abort has a known gRPC status': {
    bad: http({ fault: { abort: { grpcStatus: 'DOWN', percentage: { value: 1 } } } }),
    good: http({ fault: { abort: { grpcStatus: 'UNAVAILABLE', percentage: { value: 1 } } } }),
    at: `${rule0}/fault/abort/grpcStatus`,
  },
  'http2Error is not supported': {
    bad: http({ fault: { abort: { http2Error: 'CANCEL' } } }),
    good: http({ fault: { abort: { httpStatus: 503, percentage: { value: 1 } } } }),
    at: `${rule0}/fault/abort/http2Error`,
  },
  'a mirrored share is a percentage': {
    bad: http({ mirror: { host: 'b' }, mirrorPercentage: { value: 101 } }),
    good: http({ mirror: { host: 'b' }, mirrorPercentage: { value: 100 } }),
    at: `${rule0}/mirrorPercentage/value`,
  },
  'a mirror has a destination': {
    bad: http({ mirrors: [{}] }),
    good: http({ mirrors: [to()] }),
    at: `${rule0}/mirrors/0`,
  },
  'mirrorPercent is deprecated': {
    bad: http({ mirror: { host: 'b' }, mirrorPercent: 10 }),
    good: http({ mirror: { host: 'b' }, mirrorPercentage: { value: 10 } }),
    at: `${rule0}/mirrorPercent`,
    severity: 'warning',
    istioCode: 'IST0002',
  },
  'an allowed origin has a matcher': {
    bad: http({ corsPolicy: { allowOrigins: [{}] } }),
    good: http({ corsPolicy: { allowOrigins: [{ exact: '*' }] } }),
    at: `${rule0}/corsPolicy/allowOrigins/0`,
  },
  'an allowed method is one': {
    bad: http({ corsPolicy: { allowMethods: ['get'] } }),
    good: http({ corsPolicy: { allowMethods: ['GET', '*'] } }),
    at: `${rule0}/corsPolicy/allowMethods/0`,
  },
  'an allowed header is one': {
    bad: http({ corsPolicy: { allowHeaders: ['a b'] } }),
    good: http({ corsPolicy: { allowHeaders: ['x-a'], exposeHeaders: ['*'] } }),
    at: `${rule0}/corsPolicy/allowHeaders/0`,
  },
  'maxAge is whole seconds': {
    bad: http({ corsPolicy: { maxAge: '1500ms' } }),
    good: http({ corsPolicy: { maxAge: '24h' } }),
    at: `${rule0}/corsPolicy/maxAge`,
  },
}

for (const cases of [matches, policies]) {
  testRules({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', cases })
}
