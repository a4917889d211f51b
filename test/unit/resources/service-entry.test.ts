import { type RuleCase, testRules } from './rule-cases.ts'

const http = { number: 80, name: 'http', protocol: 'HTTP' }
const tcp = { number: 3306, name: 'tcp', protocol: 'TCP' }
const spec = (change: object) => ({ hosts: ['api.example.com'], ports: [http], resolution: 'DNS', ...change })
const fixed = (endpoint: object, change: object = {}) =>
  spec({ resolution: 'STATIC', endpoints: [endpoint], ...change })
const dynamic = (change: object) => ({ hosts: ['*.example.com'], ports: [http], resolution: 'DYNAMIC_DNS', ...change })

const serviceEntry: Record<string, RuleCase> = {
  'it has hosts': { bad: spec({ hosts: [] }), good: spec({}), at: '/spec/hosts' },
  'a host is not "*"': { bad: spec({ hosts: ['*'] }), good: spec({}), at: '/spec/hosts/0' },
  'a host is a name': { bad: spec({ hosts: ['a b'] }), good: spec({}), at: '/spec/hosts/0' },
  'a wildcard is a whole label': {
    bad: spec({ hosts: ['*a.com'], resolution: 'NONE' }),
    good: spec({ hosts: ['*.a.com'], resolution: 'NONE' }),
    at: '/spec/hosts/0',
    severity: 'warning',
  },
  'an address is one': {
    bad: spec({ addresses: ['a'] }),
    good: spec({ addresses: ['192.0.2.1'] }),
    at: '/spec/addresses/0',
  },
  'a block of addresses does not go with DNS': {
    bad: spec({ addresses: ['192.0.2.0/24'] }),
    good: spec({ addresses: ['192.0.2.0/24'], resolution: 'NONE' }),
    at: '/spec/addresses/0',
  },
  'a port is not null': { bad: spec({ ports: [null] }), good: spec({}), at: '/spec/ports/0' },
  'port names differ': {
    bad: spec({ ports: [http, { ...http, number: 81 }] }),
    good: spec({ ports: [http, { ...http, number: 81, name: 'b' }] }),
    at: '/spec/ports/1/name',
  },
  'port numbers differ': {
    bad: spec({ ports: [http, { ...http, name: 'b' }] }),
    good: spec({ ports: [http, { ...http, number: 81, name: 'b' }] }),
    at: '/spec/ports/1/number',
  },
  'a port has a name': { bad: spec({ ports: [{ ...http, name: '' }] }), good: spec({}), at: '/spec/ports/0/name' },
  'a port has a known protocol': {
    bad: spec({ ports: [{ ...http, protocol: 'FTP' }] }),
    good: spec({ ports: [{ number: 80, name: 'a' }] }),
    at: '/spec/ports/0/protocol',
  },
  'a port number is in range': {
    bad: spec({ ports: [{ ...http, number: 0 }] }),
    good: spec({}),
    at: '/spec/ports/0/number',
  },
  'endpoints exclude a selector': {
    bad: fixed({ address: '192.0.2.1' }, { workloadSelector: { labels: { a: 'b' } } }),
    good: spec({ resolution: 'STATIC', workloadSelector: { labels: { a: 'b' } } }),
    at: '/spec/workloadSelector',
  },
  'NONE has no endpoints': {
    bad: fixed({ address: '192.0.2.1' }, { resolution: 'NONE' }),
    good: fixed({ address: '192.0.2.1' }),
    at: '/spec/endpoints',
  },
  'NONE has no use for a selector': {
    bad: spec({ resolution: 'NONE', workloadSelector: { labels: { a: 'b' } } }),
    good: spec({ resolution: 'STATIC', workloadSelector: { labels: { a: 'b' } } }),
    at: '/spec/workloadSelector',
    severity: 'warning',
  },
  'a STATIC endpoint is an address': {
    bad: fixed({ address: 'a.com' }),
    good: fixed({ address: '2001:db8::1' }),
    at: '/spec/endpoints/0/address',
  },
  'a STATIC endpoint may be a Unix socket': {
    bad: fixed({ address: 'unix://a' }),
    good: fixed({ address: 'unix:///run/a' }),
    at: '/spec/endpoints/0/address',
  },
  'a wildcard needs endpoints with DNS': {
    bad: spec({ hosts: ['*.a.com'] }),
    good: spec({ hosts: ['*.a.com'], endpoints: [{ address: 'a.com' }] }),
    at: '/spec',
  },
  'DNS_ROUND_ROBIN has one endpoint': {
    bad: spec({ resolution: 'DNS_ROUND_ROBIN', endpoints: [{ address: 'a.com' }, { address: 'b.com' }] }),
    good: spec({ resolution: 'DNS_ROUND_ROBIN', endpoints: [{ address: 'a.com' }] }),
    at: '/spec/endpoints/1',
  },
  'a DNS endpoint is a name or an address': {
    bad: spec({ endpoints: [{ address: 'a b' }] }),
    good: spec({ endpoints: [{ address: 'a.com' }, { address: '192.0.2.1' }] }),
    at: '/spec/endpoints/0/address',
  },
  'a port of an endpoint is one of the entry': {
    bad: spec({ endpoints: [{ address: 'a.com', ports: { other: 80 } }] }),
    good: spec({ endpoints: [{ address: 'a.com', ports: { http: 8080 } }] }),
    at: '/spec/endpoints/0/ports',
  },
  'DYNAMIC_DNS is for wildcards': { bad: dynamic({ hosts: ['a.com'] }), good: dynamic({}), at: '/spec/hosts/0' },
  'DYNAMIC_DNS has no addresses': {
    bad: dynamic({ addresses: ['192.0.2.1'] }),
    good: dynamic({}),
    at: '/spec/addresses',
  },
  'DYNAMIC_DNS has no endpoints': {
    bad: dynamic({ endpoints: [{ address: 'a.com' }] }),
    good: dynamic({}),
    at: '/spec/endpoints',
  },
  'DYNAMIC_DNS is not for TCP': { bad: dynamic({ ports: [tcp] }), good: dynamic({}), at: '/spec/ports/0/protocol' },
  'several hosts cannot share a TCP port': {
    bad: spec({ hosts: ['a.com', 'b.com'], ports: [tcp] }),
    good: spec({ hosts: ['a.com', 'b.com'], ports: [tcp], resolution: 'NONE', addresses: ['192.0.2.1'] }),
    at: '/spec/hosts',
  },
  'a TCP port without an address takes all addresses': {
    bad: spec({ resolution: 'NONE', ports: [tcp] }),
    good: spec({ resolution: 'DNS', ports: [tcp] }),
    at: '/spec/ports/0',
    severity: 'warning',
    istioCode: 'IST0134',
  },
  'a Unix endpoint has no ports': {
    bad: fixed({ address: 'unix:///a', ports: { http: 1 } }),
    good: fixed({ address: 'unix:///a' }),
    at: '/spec/endpoints/0/ports',
  },
  'a Unix endpoint serves one port': {
    bad: fixed({ address: 'unix:///a' }, { ports: [http, { ...http, number: 81, name: 'b' }] }),
    good: fixed({ address: 'unix:///a' }),
    at: '/spec/endpoints/0/address',
  },
  'exportTo "~" stands alone': {
    bad: spec({ exportTo: ['~', '.'] }),
    good: spec({ exportTo: ['~'] }),
    at: '/spec/exportTo/0',
  },
}

const workloadEntry: Record<string, RuleCase> = {
  'it has an address': { bad: {}, good: { address: '192.0.2.1' }, at: '/spec' },
  'it may lack an address in another network': {
    bad: { network: 'b' },
    good: { network: 'b', address: '192.0.2.1' },
    at: '/spec',
    severity: 'warning',
  },
  'its address is one': { bad: { address: '300.0.0.1' }, good: { address: 'vm.example.com' }, at: '/spec/address' },
  'its labels are labels': {
    bad: { address: '192.0.2.1', labels: { a: 'b c' } },
    good: { address: '192.0.2.1', labels: { a: 'b' } },
    at: '/spec/labels/a',
  },
  'its ports are in range': {
    bad: { address: '192.0.2.1', ports: { a: 0 } },
    good: { address: '192.0.2.1', ports: { a: 1 } },
    at: '/spec/ports/a',
  },
}

const egress = (hosts: string[]) => ({ egress: [{ hosts }] })
const outbound = (policy: object) => ({ outboundTrafficPolicy: policy })
const ingress = (tls: object) => ({ ingress: [{ port: { ...http, protocol: 'HTTPS' }, tls }] })

const sidecar: Record<string, RuleCase> = {
  'it says something': { bad: {}, good: outbound({ mode: 'REGISTRY_ONLY' }), at: '/spec' },
  'egress has hosts': { bad: egress([]), good: egress(['./*']), at: '/spec/egress/0' },
  'an egress host has a namespace': { bad: egress(['a.com']), good: egress(['*/a.com']), at: '/spec/egress/0/hosts/0' },
  'an egress host is a name': { bad: egress(['*/a_b']), good: egress(['~/*']), at: '/spec/egress/0/hosts/0' },
  'a wildcard is a whole label': {
    bad: egress(['*/*a.com']),
    good: egress(['~ns/a.com']),
    at: '/spec/egress/0/hosts/0',
  },
  'an egress port is in range': {
    bad: { egress: [{ port: { number: 70000 }, hosts: ['*/*'] }] },
    good: { egress: [{ port: { number: 80 }, hosts: ['*/*'] }] },
    at: '/spec/egress/0/port/number',
  },
  'everything needs nothing beside it': {
    bad: egress(['*/*', './a.com']),
    good: egress(['*/*']),
    at: '/spec/egress/0/hosts',
    severity: 'warning',
  },
  'dynamic DNS is for the mesh': {
    bad: outbound({ mode: 'ALLOW_ANY_DYNAMIC_DNS' }),
    good: outbound({ mode: 'ALLOW_ANY' }),
    at: '/spec/outboundTrafficPolicy/mode',
  },
  'egressProxy needs ALLOW_ANY': {
    bad: outbound({ mode: 'REGISTRY_ONLY', egressProxy: { host: 'a.com' } }),
    good: outbound({ mode: 'ALLOW_ANY', egressProxy: { host: 'a.com', port: { number: 80 } } }),
    at: '/spec/outboundTrafficPolicy/egressProxy',
  },
  'ingress TLS has no credential': {
    bad: ingress({ mode: 'SIMPLE', credentialName: 'a' }),
    good: ingress({ mode: 'SIMPLE', serverCertificate: '/c', privateKey: '/k' }),
    at: '/spec/ingress/0/tls/credentialName',
  },
}

const apiVersion = 'networking.istio.io/v1'
testRules({ apiVersion, kind: 'ServiceEntry', cases: serviceEntry })
testRules({ apiVersion, kind: 'WorkloadEntry', cases: workloadEntry })
testRules({ apiVersion, kind: 'Sidecar', cases: sidecar })
