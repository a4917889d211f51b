import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileDirectResponse } from '../../../../src/routing/actions/direct-response.ts'

test('compileDirectResponse: the body is what its base64 says, bytes included', () => {
  const body = Buffer.from([0, 0xff, 0x41])
  assert.deepEqual(compileDirectResponse({ kind: 'direct-response', status: 503, body: body.toString('base64') }), {
    status: 503,
    body,
    details: 'direct_response',
  })
})

test('compileDirectResponse: no body and an empty one are the same', () => {
  const reply = { status: 204, details: 'direct_response' }
  assert.deepEqual(compileDirectResponse({ kind: 'direct-response', status: 204 }), reply)
  assert.deepEqual(compileDirectResponse({ kind: 'direct-response', status: 204, body: '' }), reply)
})
