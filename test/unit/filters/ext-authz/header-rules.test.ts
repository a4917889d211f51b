import assert from 'node:assert/strict'
import test from 'node:test'
import {
  compileNames,
  fromHeaderValue,
  pickHeaders,
  toHeaderValue,
} from '../../../../src/filters/ext-authz/header-rules.ts'

test('names are compared whole, by their beginning or by their end', () => {
  const matches = compileNames([
    { kind: 'exact', value: 'x-user' },
    { kind: 'prefix', value: 'x-team-' },
    { kind: 'suffix', value: '-id' },
  ])
  for (const name of ['x-user', 'x-team-', 'x-team-a', 'order-id', '-id']) assert.equal(matches(name), true, name)
  for (const name of ['x-users', 'ax-user', 'x-team', 'id', 'order-ids']) assert.equal(matches(name), false, name)
})

test('headers of a connection are never passed on, whatever is wanted', () => {
  const headers = ['a', '1', 'content-length', '5', 'transfer-encoding', 'chunked', 'connection', 'a', 'a', '2']
  assert.deepEqual(
    pickHeaders(headers, () => true),
    ['a', '1', 'a', '2'],
  )
})

test('text becomes the bytes of its UTF-8 form, and what would end the line is no value', () => {
  assert.equal(toHeaderValue('plain'), 'plain')
  assert.equal(toHeaderValue(' blanks '), 'blanks')
  assert.equal(toHeaderValue('ö'), '\xc3\xb6')
  for (const bad of ['a\r\nb: c', 'a\nb', 'a\0', '\x7f']) assert.equal(toHeaderValue(bad), null)
})

test('a value is told as UTF-8 where it is that', () => {
  assert.equal(fromHeaderValue('\xc3\xb6'), 'ö')
  assert.equal(fromHeaderValue('\xf6'), '\ufffd')
  assert.equal(fromHeaderValue('plain'), 'plain')
})
