import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Asker, refuse } from '../../../src/admin/guard.ts'

const hosts: Record<
  string,
  { host: string | undefined; configured?: string; localAddress?: string; allowed: boolean }
> = {
  localhost: { host: 'localhost:15000', allowed: true },
  'a name under localhost': { host: 'gateway.localhost', allowed: true },
  'IPv4 loopback': { host: '127.0.0.1:15000', allowed: true },
  'any address of 127/8': { host: '127.9.9.9', allowed: true },
  'IPv6 loopback': { host: '[::1]:15000', allowed: true },
  'the configured name': { host: 'Admin.test:15000', configured: 'admin.test', allowed: true },
  'the configured IPv6 address': { host: '[fd00::1]:15000', configured: '[fd00::1]', allowed: true },
  'the address that was connected to': {
    host: '10.0.0.5:15000',
    configured: '0.0.0.0',
    localAddress: '::ffff:10.0.0.5',
    allowed: true,
  },
  'an address that was not connected to': {
    host: '10.0.0.6',
    configured: '0.0.0.0',
    localAddress: '10.0.0.5',
    allowed: false,
  },
  'a name that was made to point here': { host: 'evil.test:15000', allowed: false },
  'a name that only begins like loopback': { host: '127.0.0.1.evil.test', allowed: false },
  'a name that only ends like localhost': { host: 'notlocalhost', allowed: false },
  'no Host': { host: undefined, allowed: false },
  'a malformed Host': { host: 'localhost:15000@evil.test', allowed: false },
}

for (const [name, { host, configured = '127.0.0.1', localAddress = '127.0.0.1', allowed }] of Object.entries(hosts)) {
  test(`a request to ${name} is ${allowed ? 'answered' : 'refused'}`, () => {
    const asker: Asker = { method: 'GET', host, origin: undefined, site: undefined, localAddress }
    assert.equal(refuse(asker, configured) === null, allowed)
  })
}
