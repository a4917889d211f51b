import { type RuleCase, testRules } from './rule-cases.ts'

const to = (host = 'reviews', more: object = {}) => ({ destination: { host, ...more } })
const rule = { route: [to()] }
const spec = (change: object) => ({ hosts: ['a.com'], gateways: ['main'], http: [rule], ...change })
const http = (change: object) => spec({ http: [{ ...rule, ...change }] })
const only = (change: object) => spec({ http: [change] })
const tls = (change: object) =>
  spec({ http: [], tls: [{ match: [{ sniHosts: ['a.com'] }], route: [to()], ...change }] })
const tcp = (change: object) => spec({ http: [], tcp: [{ route: [to()], ...change }] })
const rule0 = '/spec/http/0'

const hosts: Record<string, RuleCase> = {
  'a delegate is bound to no gateway': { bad: spec({ hosts: [] }), good: { http: [rule] }, at: '/spec/gateways' },
  'a delegate has no tcp': { bad: { http: [rule], tcp: [rule] }, good: { http: [rule] }, at: '/spec/tcp' },
  'a delegate has no tls': { bad: { http: [rule], tls: [{ route: [to()] }] }, good: { http: [rule] }, at: '/spec/tls' },
  'a host is a name': { bad: spec({ hosts: ['a b.com'] }), good: spec({}), at: '/spec/hosts/0' },
  'a host has no scheme': {
    bad: spec({ hosts: ['https://a.com'] }),
    good: spec({ hosts: ['192.0.2.7'] }),
    at: '/spec/hosts/0',
  },
  'a host has no port': { bad: spec({ hosts: ['a.com:8080'] }), good: spec({ hosts: ['*'] }), at: '/spec/hosts/0' },
  '"*" is not for sidecars': { bad: { hosts: ['*'], http: [rule] }, good: spec({ hosts: ['*'] }), at: '/spec/hosts/0' },
  'a host is listed once': {
    bad: spec({ hosts: ['a.com', 'A.com'] }),
    good: spec({ hosts: ['a.com', 'b.com'] }),
    at: '/spec/hosts/1',
  },
  'one wildcard does not cover another': {
    bad: spec({ hosts: ['*.foo.com', '*.com'] }),
    good: spec({ hosts: ['*.foo.com', '*.bar.com'] }),
    at: '/spec/hosts/1',
  },
  'a wildcard does not cover another host': {
    bad: spec({ hosts: ['*.foo.com', 'a.foo.com'] }),
    good: spec({ hosts: ['*.foo.com', 'foo.com'] }),
    at: '/spec/hosts/1',
  },
  'neither part of a gateway name is empty': {
    bad: spec({ gateways: ['ns/'] }),
    good: spec({ gateways: ['ns/main'] }),
    at: '/spec/gateways/0',
  },
  'the parts of a gateway name are labels': {
    bad: spec({ gateways: ['My_NS/main'] }),
    good: spec({ gateways: ['./main'] }),
    at: '/spec/gateways/0',
  },
  'the old form of a gateway name is deprecated': {
    bad: spec({ gateways: ['main.istio-system.svc.cluster.local'] }),
    good: spec({ gateways: ['istio-system/main'] }),
    at: '/spec/gateways/0',
    severity: 'warning',
  },
  'it has rules': { bad: spec({ http: [] }), good: spec({}), at: '/spec' },
  'exportTo names namespaces': {
    bad: spec({ exportTo: ['a.b'] }),
    good: spec({ exportTo: ['.', 'other'] }),
    at: '/spec/exportTo/0',
  },
  'exportTo "*" stands alone': {
    bad: spec({ exportTo: ['*', 'a'] }),
    good: spec({ exportTo: ['*'] }),
    at: '/spec/exportTo/0',
  },
  'exportTo names no namespace twice': {
    bad: spec({ exportTo: ['a', 'a'] }),
    good: spec({ exportTo: ['a', 'b'] }),
    at: '/spec/exportTo/1',
  },
  'exportTo "." is its own namespace': {
    bad: spec({ exportTo: ['.', 'shop'] }),
    good: spec({ exportTo: ['.'] }),
    at: '/spec/exportTo/1',
  },
  'exportTo "~" is for ServiceEntries': {
    bad: spec({ exportTo: ['~'] }),
    good: spec({ exportTo: ['.'] }),
    at: '/spec/exportTo/0',
  },
}

const actions: Record<string, RuleCase> = {
  'a rule does something': { bad: only({}), good: only(rule), at: rule0 },
  'a rule does one thing': {
    bad: http({ redirect: { uri: '/b' } }),
    good: only({ redirect: { uri: '/b' } }),
    at: `${rule0}/redirect`,
  },
  'a direct response excludes a redirect': {
    bad: only({ redirect: { uri: '/b' }, directResponse: { status: 200 } }),
    good: only({ directResponse: { status: 200 } }),
    at: `${rule0}/directResponse`,
  },
  'a delegate excludes a route': {
    bad: http({ delegate: { name: 'b' } }),
    good: only({ delegate: { name: 'b' } }),
    at: `${rule0}/delegate`,
  },
  'a delegate does not delegate': {
    bad: { http: [{ delegate: { name: 'b' } }] },
    good: only({ delegate: { name: 'b', namespace: 'c' } }),
    at: `${rule0}/delegate`,
  },
  'a fault does not go with a redirect': {
    bad: only({ redirect: { uri: '/b' }, fault: { delay: { fixedDelay: '1s' } } }),
    good: http({ fault: { delay: { fixedDelay: '1s' } } }),
    at: `${rule0}/fault`,
  },
  'a rewrite does not go with a direct response': {
    bad: only({ directResponse: { status: 200 }, rewrite: { uri: '/' } }),
    good: http({ rewrite: { uri: '/' } }),
    at: `${rule0}/rewrite`,
  },
  'mirror and mirrors exclude each other': {
    bad: http({ mirror: { host: 'b' }, mirrors: [to('c')] }),
    good: http({ mirrors: [to('b'), to('c')] }),
    at: `${rule0}/mirrors`,
  },
  'a destination is not null': { bad: only({ route: [null] }), good: only(rule), at: `${rule0}/route/0` },
  'a destination is there': { bad: only({ route: [{ weight: 1 }] }), good: only(rule), at: `${rule0}/route/0` },
  'a weight is not negative': {
    bad: only({
      route: [
        { ...to(), weight: -1 },
        { ...to(), weight: 2 },
      ],
    }),
    good: only({
      route: [
        { ...to(), weight: 0 },
        { ...to(), weight: 2 },
      ],
    }),
    at: `${rule0}/route/0/weight`,
  },
  'the weights of several destinations do not add up to 0': {
    bad: only({ route: [to('a'), to('b')] }),
    good: only({ route: [{ ...to(), weight: 0 }] }),
    at: `${rule0}/route`,
  },
  'a destination is not "*"': {
    bad: only({ route: [to('*')] }),
    good: only({ route: [to('a.b.svc.cluster.local')] }),
    at: `${rule0}/route/0/destination/host`,
  },
  'a destination is a name': {
    bad: only({ route: [to('a_b')] }),
    good: only(rule),
    at: `${rule0}/route/0/destination/host`,
  },
  'a subset is a name': {
    bad: only({ route: [to('a', { subset: 'v 1' })] }),
    good: only({ route: [to('a', { subset: 'v1' })] }),
    at: `${rule0}/route/0/destination/subset`,
  },
  'a destination port is in range': {
    bad: only({ route: [to('a', { port: { number: 70000 } })] }),
    good: only({ route: [to('a', { port: { number: 80 } })] }),
    at: `${rule0}/route/0/destination/port`,
  },
  'a redirect has a target': {
    bad: only({ redirect: {} }),
    good: only({ redirect: { scheme: 'https' } }),
    at: `${rule0}/redirect`,
  },
  'a redirect has one path': {
    bad: only({ redirect: { uri: '/a', prefixRewrite: '/b' } }),
    good: only({ redirect: { prefixRewrite: '/b' } }),
    at: `${rule0}/redirect/prefixRewrite`,
  },
  'prefixRewrite needs a prefix': {
    bad: only({ match: [{ uri: { exact: '/a' } }], redirect: { prefixRewrite: '/b' } }),
    good: only({ match: [{ uri: { prefix: '/a' } }], redirect: { prefixRewrite: '/b' } }),
    at: `${rule0}/redirect/prefixRewrite`,
  },
  'the code of a redirect is a redirection': {
    bad: only({ redirect: { uri: '/a', redirectCode: 200 } }),
    good: only({ redirect: { uri: '/a', redirectCode: 308 } }),
    at: `${rule0}/redirect/redirectCode`,
  },
  'the code of a redirect is one that redirects': {
    bad: only({ redirect: { uri: '/a', redirectCode: 304 } }),
    good: only({ redirect: { uri: '/a', redirectCode: 302 } }),
    at: `${rule0}/redirect/redirectCode`,
    severity: 'warning',
  },
  'a redirect goes to http or https': {
    bad: only({ redirect: { scheme: 'ftp' } }),
    good: only({ redirect: { scheme: 'http' } }),
    at: `${rule0}/redirect/scheme`,
  },
  'the port of a redirect is in range': {
    bad: only({ redirect: { port: 0 } }),
    good: only({ redirect: { port: 8443 } }),
    at: `${rule0}/redirect/port`,
  },
  'the status of a direct response is in range': {
    bad: only({ directResponse: { status: 600 } }),
    good: only({ directResponse: { status: 599 } }),
    at: `${rule0}/directResponse/status`,
  },
  'a body is at most 1 MB': {
    bad: only({ directResponse: { status: 200, body: { string: 'x'.repeat(1024 * 1024 + 1) } } }),
    good: only({ directResponse: { status: 200, body: { string: 'x' } } }),
    at: `${rule0}/directResponse/body`,
  },
  'a body above 100 KB is large': {
    bad: only({ directResponse: { status: 200, body: { string: 'x'.repeat(100 * 1024 + 1) } } }),
    good: only({ directResponse: { status: 200, body: { bytes: 'eA==' } } }),
    at: `${rule0}/directResponse/body`,
    severity: 'warning',
  },
  'a rewrite changes something': {
    bad: http({ rewrite: {} }),
    good: http({ rewrite: { authority: 'b.com' } }),
    at: `${rule0}/rewrite`,
  },
  'a rewrite has one path': {
    bad: http({ rewrite: { uri: '/', uriRegexRewrite: { match: 'a', rewrite: 'b' } } }),
    good: http({ rewrite: { uriRegexRewrite: { match: 'a', rewrite: 'b' } } }),
    at: `${rule0}/rewrite/uriRegexRewrite`,
  },
  'a regex rewrite has both parts': {
    bad: http({ rewrite: { uriRegexRewrite: { match: 'a' } } }),
    good: http({ rewrite: { uriRegexRewrite: { match: '(a)', rewrite: '\\1' } } }),
    at: `${rule0}/rewrite/uriRegexRewrite`,
  },
  'a regex rewrite has a valid pattern': {
    bad: http({ rewrite: { uriRegexRewrite: { match: '(', rewrite: 'b' } } }),
    good: http({ rewrite: { uriRegexRewrite: { match: '()', rewrite: 'b' } } }),
    at: `${rule0}/rewrite/uriRegexRewrite/match`,
  },
  'a regex rewrite refers to groups that exist': {
    bad: http({ rewrite: { uriRegexRewrite: { match: '(a)', rewrite: '\\2' } } }),
    good: http({ rewrite: { uriRegexRewrite: { match: '(a)(b)', rewrite: '\\2\\\\' } } }),
    at: `${rule0}/rewrite/uriRegexRewrite/rewrite`,
  },
  'the host is set once': {
    bad: http({ rewrite: { authority: 'b' }, headers: { request: { set: { Host: 'c' } } } }),
    good: http({ rewrite: { authority: 'b' }, headers: { request: { set: { 'x-host': 'c' } } } }),
    at: `${rule0}/headers/request/set/Host`,
  },
  'a header has a name': {
    bad: http({ headers: { request: { set: { '': 'c' } } } }),
    good: http({ headers: { request: { set: { ':authority': 'c' } } } }),
    at: `${rule0}/headers/request/set/`,
  },
  'a pseudo-header cannot be changed': {
    bad: http({ headers: { request: { set: { ':path': '/' } } } }),
    good: http({ headers: { request: { add: { path: '/' } } } }),
    at: `${rule0}/headers/request/set/:path`,
  },
  'Host is not removed': {
    bad: http({ headers: { request: { remove: ['host'] } } }),
    good: http({ headers: { request: { remove: ['x-host'] } } }),
    at: `${rule0}/headers/request/remove/0`,
  },
  'Host is not a response header': {
    bad: http({ headers: { response: { set: { host: 'a' } } } }),
    good: http({ headers: { response: { set: { server: 'a' } } } }),
    at: `${rule0}/headers/response/set/host`,
  },
  'a header value has no control characters': {
    bad: http({ headers: { request: { set: { a: 'b\r\nc: d' } } } }),
    good: http({ headers: { request: { set: { a: 'b c' } } } }),
    at: `${rule0}/headers/request/set/a`,
  },
  'a percent sign is part of an operator': {
    bad: http({ headers: { response: { add: { a: '100%' } } } }),
    good: http({ headers: { response: { add: { a: '100%% %REQ(:path):20% %START_TIME(%s)%' } } } }),
    at: `${rule0}/headers/response/add/a`,
  },
  'headers of a destination follow the same rules': {
    bad: only({ route: [{ ...to(), headers: { request: { remove: [':path'] } } }] }),
    good: only({ route: [{ ...to(), headers: { request: { remove: ['path'] } } }] }),
    at: `${rule0}/route/0/headers/request/remove/0`,
  },
}

const lower: Record<string, RuleCase> = {
  'a tls route has a match': { bad: tls({ match: [] }), good: tls({}), at: '/spec/tls/0' },
  'a tls match has sniHosts': {
    bad: tls({ match: [{ port: 443 }] }),
    good: tls({ match: [{ sniHosts: ['a.com'], port: 443 }] }),
    at: '/spec/tls/0/match/0',
  },
  'sniHosts are within the hosts': {
    bad: tls({ match: [{ sniHosts: ['b.com'] }] }),
    good: { hosts: ['*.com'], gateways: ['main'], tls: [{ match: [{ sniHosts: ['b.com'] }], route: [to()] }] },
    at: '/spec/tls/0/match/0/sniHosts/0',
  },
  'an address is no SNI': {
    bad: tls({ match: [{ sniHosts: ['192.0.2.1', 'a.com'] }] }),
    good: tls({}),
    at: '/spec/tls/0/match/0/sniHosts/0',
    severity: 'warning',
  },
  'a tls route has a destination': { bad: tls({ route: [] }), good: tls({}), at: '/spec/tls/0' },
  'a tcp route has a destination': { bad: tcp({ route: [] }), good: tcp({}), at: '/spec/tcp/0' },
  'the weights of a tcp route do not add up to 0': {
    bad: tcp({ route: [to('a'), to('b')] }),
    good: tcp({ route: [{ ...to(), weight: 1 }, to('b')] }),
    at: '/spec/tcp/0/route',
  },
  'a destination subnet is a block': {
    bad: tcp({ match: [{ destinationSubnets: ['10.0.0.0/33'] }] }),
    good: tcp({ match: [{ destinationSubnets: ['10.0.0.0/8', '2001:db8::/32'] }] }),
    at: '/spec/tcp/0/match/0/destinationSubnets/0',
  },
}

for (const cases of [hosts, actions, lower]) {
  testRules({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', cases })
}
