import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type AddressClass, classifyAddress } from '../../../src/lib/address-class.ts'

const CLASSES: Record<AddressClass | 'open', readonly string[]> = {
  loopback: [
    '127.0.0.1',
    '127.255.255.255',
    '::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '2a00::5efe:7f00:1',
    '2a00::200:5efe:7f00:1',
    '2001:0:808:808:0:0:80ff:fffe',
  ],
  'link-local': ['169.254.0.1', 'fe80::1', 'febf::1', '::ffff:a9fe:1'],
  private: [
    '10.0.0.0',
    '10.255.255.255',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '100.64.0.1',
    '100.127.255.255',
    'fc00::1',
    'fdff::1',
    'fec0::1',
    '64:ff9b::a00:1',
    '2002:c0a8:101::9',
  ],
  metadata: [
    '169.254.169.254',
    '::ffff:169.254.169.254',
    'fd00:ec2::254',
    '100.100.100.200',
    '192.0.0.192',
    '168.63.129.16',
    '64:ff9b::a9fe:a9fe',
  ],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0'],
  multicast: ['224.0.0.1', '239.255.255.255', 'ff02::1'],
  reserved: [
    '192.0.2.1',
    '198.51.100.1',
    '203.0.113.1',
    '198.18.0.1',
    '240.0.0.1',
    '255.255.255.255',
    '2001:db8::1',
    '100::1',
    '64:ff9b:1::1',
    '3fff::1',
    '5f00::1',
    'no address',
    'fe80::1%eth0',
    '',
  ],
  open: [
    '1.1.1.1',
    '172.15.255.255',
    '172.32.0.1',
    '100.63.255.255',
    '100.128.0.1',
    '169.253.255.255',
    '11.0.0.1',
    '223.255.255.255',
    '2606:4700::1111',
    '2a00:1450::1',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
    '2002:808:808::1',
    'fbff::1',
  ],
}

for (const [name, addresses] of Object.entries(CLASSES)) {
  test(`addresses that are ${name}`, () => {
    for (const address of addresses) assert.equal(classifyAddress(address), name === 'open' ? null : name, address)
  })
}

test('an IPv4 address is of the same class in every form in which IPv6 carries it', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number)
      const high = ((a << 8) | b).toString(16)
      const low = ((c << 8) | d).toString(16)
      const own = classifyAddress(address)
      for (const form of [
        `::ffff:${address}`,
        `::ffff:${high}:${low}`,
        `64:ff9b::${high}:${low}`,
        `2002:${high}:${low}::1`,
      ]) {
        assert.equal(classifyAddress(form), own, form)
      }
    }),
  )
})
