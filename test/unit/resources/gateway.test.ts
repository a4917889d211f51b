import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseObject } from '../../../src/resources/parse.ts'
import { type RuleCase, testRules } from './rule-cases.ts'

const http = { number: 80, name: 'http', protocol: 'HTTP' }
const https = { number: 443, name: 'https', protocol: 'HTTPS' }
const spec = (server: object) => ({ servers: [{ port: http, hosts: ['*'], ...server }] })
const port = (change: object) => spec({ port: { ...http, ...change } })
const tls = (settings: object, change: object = {}) => spec({ port: { ...https, ...change }, tls: settings })
const files = { serverCertificate: '/etc/tls.crt', privateKey: '/etc/tls.key' }
const simple = tls({ mode: 'SIMPLE', credentialName: 'site' })

const cases: Record<string, RuleCase> = {
  'it needs a server': { bad: { servers: [] }, good: port({}), at: '/spec' },
  'a server is not null': { bad: { servers: [null] }, good: port({}), at: '/spec/servers/0' },
  'a port has a name': { bad: port({ name: '' }), good: port({}), at: '/spec/servers/0/port/name' },
  'port names differ': {
    bad: {
      servers: [
        { port: http, hosts: ['*'] },
        { port: { ...http, number: 81 }, hosts: ['*'] },
      ],
    },
    good: {
      servers: [
        { port: http, hosts: ['*'] },
        { port: { ...http, name: 'b' }, hosts: ['*'] },
      ],
    },
    at: '/spec/servers/1/port/name',
  },
  'a port number is at most 65535': {
    bad: port({ number: 65536 }),
    good: port({ number: 65535 }),
    at: '/spec/servers/0/port/number',
  },
  'a port number is at least 1': {
    bad: port({ number: 0 }),
    good: port({ number: 1 }),
    at: '/spec/servers/0/port/number',
  },
  'on a Unix socket the port number is 0': {
    bad: spec({ bind: 'unix:///run/a.sock' }),
    good: spec({ bind: 'unix:///run/a.sock', port: { ...http, number: 0 } }),
    at: '/spec/servers/0/port/number',
  },
  'the protocol is a known one': {
    bad: port({ protocol: 'HTTP3' }),
    good: port({ protocol: 'http2' }),
    at: '/spec/servers/0/port/protocol',
  },
  'targetPort has no place': { bad: port({ targetPort: 8080 }), good: port({}), at: '/spec/servers/0/port/targetPort' },
  'bind is an address or a Unix socket': {
    bad: spec({ bind: 'localhost' }),
    good: spec({ bind: '::1' }),
    at: '/spec/servers/0/bind',
  },
  'the path of a Unix socket is absolute': {
    bad: spec({ bind: 'unix://run/a.sock', port: { ...http, number: 0 } }),
    good: spec({ bind: 'unix://@abstract', port: { ...http, number: 0 } }),
    at: '/spec/servers/0/bind',
  },
  'it has hosts': { bad: spec({ hosts: [] }), good: spec({ hosts: ['a.com'] }), at: '/spec/servers/0/hosts' },
  'a host is no short name': {
    bad: spec({ hosts: ['shop'] }),
    good: spec({ hosts: ['shop.com'] }),
    at: '/spec/servers/0/hosts/0',
  },
  'a host has one slash at most': {
    bad: spec({ hosts: ['a/b/c.com'] }),
    good: spec({ hosts: ['a/c.com'] }),
    at: '/spec/servers/0/hosts/0',
  },
  'neither part of a host is empty': {
    bad: spec({ hosts: ['/c.com'] }),
    good: spec({ hosts: ['./c.com'] }),
    at: '/spec/servers/0/hosts/0',
  },
  'the namespace of a host is a label': {
    bad: spec({ hosts: ['a_b/c.com'] }),
    good: spec({ hosts: ['*/c.com'] }),
    at: '/spec/servers/0/hosts/0',
  },
  'a wildcard is the first label': {
    bad: spec({ hosts: ['a.*.com'] }),
    good: spec({ hosts: ['*.a.com'] }),
    at: '/spec/servers/0/hosts/0',
  },
  'a wildcard is a whole label': {
    bad: spec({ hosts: ['*a.com'] }),
    good: spec({ hosts: ['192.0.2.1'] }),
    at: '/spec/servers/0/hosts/0',
  },
  'HTTPS needs tls': { bad: spec({ port: https }), good: simple, at: '/spec/servers/0' },
  'TLS needs tls': {
    bad: spec({ port: { ...https, protocol: 'TLS' } }),
    good: tls({ mode: 'PASSTHROUGH' }, { protocol: 'TLS' }),
    at: '/spec/servers/0',
  },
  'TCP has no tls': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a' }, { protocol: 'TCP' }),
    good: port({ protocol: 'TCP' }),
    at: '/spec/servers/0/tls',
  },
  'plain HTTP has no certificate': {
    bad: spec({ tls: { mode: 'SIMPLE', credentialName: 'a' } }),
    good: spec({ tls: { httpsRedirect: true } }),
    at: '/spec/servers/0/tls/mode',
  },
  'httpsRedirect is for plain HTTP': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a', httpsRedirect: true }),
    good: spec({ tls: { httpsRedirect: true } }),
    at: '/spec/servers/0/tls/httpsRedirect',
    severity: 'warning',
  },
  'with ISTIO_MUTUAL there is no credential': {
    bad: tls({ mode: 'ISTIO_MUTUAL', credentialName: 'a' }),
    good: tls({ mode: 'ISTIO_MUTUAL' }),
    at: '/spec/servers/0/tls/credentialName',
  },
  'with ISTIO_MUTUAL there are no files': {
    bad: tls({ mode: 'ISTIO_MUTUAL', caCertificates: '/a' }),
    good: tls({ mode: 'ISTIO_MUTUAL' }),
    at: '/spec/servers/0/tls/caCertificates',
  },
  'certificates have no effect with PASSTHROUGH': {
    bad: tls({ mode: 'PASSTHROUGH', credentialName: 'a' }),
    good: tls({ mode: 'PASSTHROUGH' }),
    at: '/spec/servers/0/tls/credentialName',
    severity: 'warning',
  },
  'certificates without a mode have no effect': {
    bad: tls({ credentialName: 'a' }),
    good: simple,
    at: '/spec/servers/0/tls/credentialName',
    severity: 'warning',
  },
  'certificates come from one place': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a', ...files }),
    good: tls({ mode: 'SIMPLE', ...files }),
    at: '/spec/servers/0/tls/serverCertificate',
  },
  'SIMPLE by files needs the key': {
    bad: tls({ mode: 'SIMPLE', serverCertificate: '/a' }),
    good: tls({ mode: 'SIMPLE', ...files }),
    at: '/spec/servers/0/tls',
  },
  'MUTUAL by files needs the CA': {
    bad: tls({ mode: 'MUTUAL', ...files }),
    good: tls({ mode: 'MUTUAL', ...files, caCertificates: '/ca' }),
    at: '/spec/servers/0/tls',
  },
  'OPTIONAL_MUTUAL by files needs the CA': {
    bad: tls({ mode: 'OPTIONAL_MUTUAL', ...files }),
    good: tls({ mode: 'OPTIONAL_MUTUAL', credentialName: 'a' }),
    at: '/spec/servers/0/tls',
  },
  'more than two tlsCertificates are too many': {
    bad: tls({ mode: 'SIMPLE', tlsCertificates: [files, files, files] }),
    good: tls({ mode: 'SIMPLE', tlsCertificates: [files, files] }),
    at: '/spec/servers/0/tls/tlsCertificates',
    severity: 'warning',
  },
  'a CRL file does not go with a credential': {
    bad: tls({ mode: 'MUTUAL', credentialName: 'a', caCrl: '/crl' }),
    good: tls({ mode: 'MUTUAL', ...files, caCertificates: '/ca', caCrl: '/crl' }),
    at: '/spec/servers/0/tls/caCrl',
  },
  'a CRL does not go with SIMPLE': {
    bad: tls({ mode: 'SIMPLE', ...files, caCrl: '/crl' }),
    good: tls({ mode: 'SIMPLE', ...files }),
    at: '/spec/servers/0/tls/caCrl',
  },
  'an unknown cipher suite is ignored': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a', cipherSuites: ['RC4'] }),
    good: tls({ mode: 'SIMPLE', credentialName: 'a', cipherSuites: ['AES128-SHA'] }),
    at: '/spec/servers/0/tls/cipherSuites/0',
    severity: 'warning',
  },
  'a repeated cipher suite is ignored': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a', cipherSuites: ['AES128-SHA', 'AES128-SHA'] }),
    good: tls({ mode: 'SIMPLE', credentialName: 'a', cipherSuites: ['AES128-SHA', 'AES256-SHA'] }),
    at: '/spec/servers/0/tls/cipherSuites/1',
    severity: 'warning',
  },
  'TLS 1.0 wants its cipher suites listed': {
    bad: tls({ mode: 'SIMPLE', credentialName: 'a', minProtocolVersion: 'TLSV1_0' }),
    good: tls({ mode: 'SIMPLE', credentialName: 'a', minProtocolVersion: 'TLSV1_2' }),
    at: '/spec/servers/0/tls/minProtocolVersion',
    severity: 'warning',
  },
}

testRules({ apiVersion: 'networking.istio.io/v1', kind: 'Gateway', cases })

test('Gateway: its name is one DNS label', () => {
  const gateway = (name: string) =>
    parseObject({ apiVersion: 'networking.istio.io/v1beta1', kind: 'Gateway', metadata: { name }, spec: port({}) })
  assert.equal(gateway('a.b').resource, undefined)
  assert.equal(gateway('a-b').resource?.kind, 'Gateway')
})
