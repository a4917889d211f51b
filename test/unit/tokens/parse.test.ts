import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TokenFailure } from '../../../src/tokens/failure.ts'
import { parseToken } from '../../../src/tokens/parse.ts'
import { encode, parsed, unsigned } from './make-token.ts'

const HEADER = { alg: 'RS256' }

const refused: Record<string, { token: string; failure: TokenFailure }> = {
  'no text at all': { token: '', failure: 'bad-format' },
  'one section': { token: 'abc', failure: 'bad-format' },
  'two sections': { token: 'a.b', failure: 'bad-format' },
  'four sections': { token: 'a.b.c.d', failure: 'bad-format' },
  'an empty section': { token: `${encode(HEADER)}..AAAA`, failure: 'bad-format' },
  'no signature, as an unsecured token has': { token: `${encode(HEADER)}.${encode({})}.`, failure: 'bad-format' },
  'a header outside of the alphabet': { token: '!!.e30.AAAA', failure: 'header-base64' },
  'a header with padding': { token: 'e30=.e30.AAAA', failure: 'header-base64' },
  'a header that is no JSON': { token: unsigned('{', {}), failure: 'header-json' },
  'a header that is a list': { token: unsigned([], {}), failure: 'header-json' },
  'a header that is not UTF-8': { token: '_w.e30.AAAA', failure: 'header-json' },
  'no algorithm': { token: unsigned({}, {}), failure: 'header-alg' },
  'an algorithm that is no text': { token: unsigned({ alg: 1 }, {}), failure: 'header-alg' },
  'algorithm none': { token: unsigned({ alg: 'none' }, {}), failure: 'header-alg-unsupported' },
  'algorithm nOnE': { token: unsigned({ alg: 'nOnE' }, {}), failure: 'header-alg-unsupported' },
  'an algorithm of encryption': { token: unsigned({ alg: 'RSA-OAEP' }, {}), failure: 'header-alg-unsupported' },
  'a key id that is no text': { token: unsigned({ ...HEADER, kid: 1 }, {}), failure: 'header-kid' },
  'a payload outside of the alphabet': { token: `${encode(HEADER)}.a+b/.AAAA`, failure: 'payload-base64' },
  'a payload that is no JSON': { token: unsigned(HEADER, 'text'), failure: 'payload-json' },
  'a payload that is null': { token: unsigned(HEADER, null), failure: 'payload-json' },
  'an issuer that is no text': { token: unsigned(HEADER, { iss: 1 }), failure: 'payload-iss' },
  'a subject that is no text': { token: unsigned(HEADER, { sub: null }), failure: 'payload-sub' },
  'an id that is no text': { token: unsigned(HEADER, { jti: [] }), failure: 'payload-jti' },
  'an expiry that is text': { token: unsigned(HEADER, { exp: '1' }), failure: 'payload-exp' },
  'a negative expiry': { token: unsigned(HEADER, { exp: -1 }), failure: 'payload-exp-range' },
  'an expiry beyond 64 bits': { token: unsigned(HEADER, { exp: 2 ** 63 }), failure: 'payload-exp-range' },
  'a start that is text': { token: unsigned(HEADER, { nbf: '1' }), failure: 'payload-nbf' },
  'a negative date of issue': { token: unsigned(HEADER, { iat: -1 }), failure: 'payload-iat-range' },
  'an audience that is a number': { token: unsigned(HEADER, { aud: 1 }), failure: 'payload-aud' },
  'audiences that are not all text': { token: unsigned(HEADER, { aud: ['a', 1] }), failure: 'payload-aud' },
  'a signature outside of the alphabet': { token: unsigned(HEADER, {}, 'a+b'), failure: 'signature-base64' },
}

for (const [name, { token, failure }] of Object.entries(refused)) {
  test(`parseToken: refuses ${name}`, () => assert.equal(parseToken(token), failure))
}

test('parseToken: reads what the checks need', () => {
  const claims = { iss: 'me', sub: 'you', aud: 'web', nbf: 5.7, exp: 9, role: 'admin' }
  const token = parsed(unsigned({ alg: 'ES256', kid: 'one' }, claims))
  assert.equal(token.algorithm, 'ES256')
  assert.equal(token.keyId, 'one')
  assert.equal(token.issuer, 'me')
  assert.equal(token.subject, 'you')
  assert.deepEqual(token.audiences, ['web'])
  assert.equal(token.notBefore, 5)
  assert.equal(token.expires, 9)
  assert.deepEqual(token.claims, claims)
  assert.equal(token.payload, encode(claims))
  assert.equal(token.hasCritical, false)
})

test('parseToken: what a token does not say is empty', () => {
  const { keyId, issuer, subject, audiences, notBefore, expires } = parsed(unsigned(HEADER, {}))
  assert.deepEqual([keyId, issuer, subject, audiences, notBefore, expires], ['', '', '', [], undefined, undefined])
})
