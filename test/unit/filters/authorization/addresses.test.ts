import assert from 'node:assert/strict'
import test from 'node:test'
import { compileBlocks } from '../../../../src/filters/authorization/addresses.ts'

const cases: readonly (readonly [blocks: readonly string[], inside: readonly string[], outside: readonly string[]])[] =
  [
    [['192.0.2.1/32'], ['192.0.2.1:80', '192.0.2.1'], ['192.0.2.0:80', '192.0.2.2:80', '[2001:db8::1]:80']],
    [['10.0.0.0/8'], ['10.0.0.0:1', '10.255.255.255:1'], ['9.255.255.255:1', '11.0.0.0:1']],
    [['10.1.2.3/8'], ['10.9.9.9:1'], ['11.1.2.3:1']],
    [['203.0.113.128/25'], ['203.0.113.128:1', '203.0.113.255:1'], ['203.0.113.127:1']],
    [['0.0.0.0/0'], ['0.0.0.0:1', '255.255.255.255:1'], ['[::1]:1']],
    [['255.255.255.255/32'], ['255.255.255.255:1'], ['255.255.255.254:1']],
    [['::/0'], ['[::1]:1', '[2001:db8::1]:1'], ['127.0.0.1:1']],
    [['::1/128'], ['[::1]:1', '[0:0:0:0:0:0:0:1]:1'], ['[::2]:1', '[::]:1']],
    [['2001:db8::/33'], ['[2001:db8:7fff::1]:1'], ['[2001:db8:8000::1]:1', '[2001:db9::]:1']],
    [['fe80::/10'], ['[fe80::1%eth0]:1', '[febf::1]:1'], ['[fec0::1]:1']],
    [['192.0.2.0/24'], ['[::ffff:192.0.2.9]:1', '[::ffff:c000:209]:1'], ['[::ffff:192.0.3.9]:1']],
    [['::ffff:192.0.2.0/120'], ['192.0.2.9:1', '[::ffff:192.0.2.9]:1'], ['192.0.3.9:1']],
    [
      ['10.0.0.0/8', '2001:db8::/32'],
      ['10.1.1.1:1', '[2001:db8::1]:1'],
      ['11.1.1.1:1', '[2001:db9::1]:1'],
    ],
  ]

test('an address is in a block when it begins with its bits, in the same family', () => {
  for (const [blocks, inside, outside] of cases) {
    const matches = compileBlocks(blocks)
    for (const address of inside) assert.equal(matches(address), true, `${address} in ${blocks.join()}`)
    for (const address of outside) assert.equal(matches(address), false, `${address} not in ${blocks.join()}`)
  }
})

test('an address that is none is an error: nothing may be concluded from it', () => {
  const matches = compileBlocks(['10.0.0.0/8'])
  for (const address of ['', 'unknown', '10.0.0:1', '10.0.0.256:1', '[::g]:1', '/run/socket']) {
    assert.throws(() => matches(address), /is no IP address/, address)
  }
})

test('a block that is none is an error', () => {
  for (const block of ['10.0.0.0/33', '10.0.0.0/-1', '::/129', 'a/8', '10.0.0.0/x']) {
    assert.throws(() => compileBlocks([block]), /is no block of addresses/, block)
  }
})
