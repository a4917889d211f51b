import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localAddress } from '../../../src/settings/listen.ts'
import {
  formatHostPort,
  type HostPort,
  type ListenMapping,
  parseHostPort,
  parseListen,
} from '../../../src/settings/values.ts'

const addresses: Record<string, HostPort | undefined> = {
  '15000': { host: 'fallback', port: 15000 },
  '0': { host: 'fallback', port: 0 },
  '127.0.0.1:80': { host: '127.0.0.1', port: 80 },
  'localhost:80': { host: 'localhost', port: 80 },
  '[::1]:80': { host: '::1', port: 80 },
  '::1:80': undefined,
  '[::1]': undefined,
  '65536': undefined,
  localhost: undefined,
  ':80': undefined,
  '': undefined,
  '80 ': undefined,
  'http://localhost:80': undefined,
}

for (const [text, expected] of Object.entries(addresses)) {
  test(`an address to listen on: "${text}" is ${expected === undefined ? 'refused' : formatHostPort(expected)}`, () => {
    assert.deepEqual(parseHostPort(text, 'fallback'), expected)
  })
}

test('an IPv6 address is printed in brackets', () => {
  assert.equal(formatHostPort({ host: '::', port: 80 }), '[::]:80')
})

const mappings: Record<string, ListenMapping | undefined> = {
  '80=8080': { port: 80, host: null, localPort: 8080 },
  '443=127.0.0.1:0': { port: 443, host: '127.0.0.1', localPort: 0 },
  '80=[::1]:8080': { port: 80, host: '::1', localPort: 8080 },
  '0=80': undefined,
  '80': undefined,
  '80=': undefined,
  '=80': undefined,
  '80=http': undefined,
}

for (const [text, expected] of Object.entries(mappings)) {
  test(`a port binding: "${text}" is ${expected === undefined ? 'refused' : 'read'}`, () => {
    assert.deepEqual(parseListen(text), expected)
  })
}

test('ports 80 and 443 move where this process may not bind them, all others stay', () => {
  const settings = { listen: [], address: null, bindsLowPorts: false }
  assert.deepEqual(localAddress(settings, 80), { host: '::', port: 8080 })
  assert.deepEqual(localAddress(settings, 443), { host: '::', port: 8443 })
  assert.deepEqual(localAddress(settings, 9000), { host: '::', port: 9000 })
  assert.deepEqual(localAddress({ ...settings, bindsLowPorts: true }, 80), { host: '::', port: 80 })
})

test('a binding that was asked for wins over the server’s bind, and that over the gateway’s address', () => {
  const listen = [
    { port: 80, host: null, localPort: 8000 },
    { port: 81, host: '10.0.0.9', localPort: 8001 },
  ]
  const settings = { listen, address: '10.0.0.1', bindsLowPorts: false }
  assert.deepEqual(localAddress(settings, 80), { host: '10.0.0.1', port: 8000 })
  assert.deepEqual(localAddress(settings, 80, '10.0.0.2'), { host: '10.0.0.2', port: 8000 })
  assert.deepEqual(localAddress(settings, 81, '10.0.0.2'), { host: '10.0.0.9', port: 8001 })
})
