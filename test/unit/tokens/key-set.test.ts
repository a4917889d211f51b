import assert from 'node:assert/strict'
import { constants, createSign, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { KeySet } from '../../../src/tokens/key-set.ts'
import { ALGORITHMS, parseToken } from '../../../src/tokens/parse.ts'
import { confused, encode, keySetText, parsed, sign, type TestKey, testKey, unsigned } from './make-token.ts'

const CLAIMS = { iss: 'me', sub: 'you' }

function keySet(...keys: readonly TestKey[]): KeySet {
  const set = KeySet.parse(keySetText(...keys))
  assert(set !== null)
  return set
}

for (const algorithm of ALGORITHMS) {
  test(`KeySet: ${algorithm} signatures are verified, and others refused`, async () => {
    const key = await testKey(algorithm)
    const token = await sign(key, CLAIMS)
    const set = keySet(key)
    assert.equal(await set.verify(parsed(token)), undefined)
    const [header, , signature] = token.split('.')
    const other = `${header}.${Buffer.from('{"sub":"mallory"}').toString('base64url')}.${signature}`
    assert.equal(await set.verify(parsed(other)), 'bad-signature')
  })
}

test('KeySet: a token whose key is not in the set', async () => {
  const [one, two] = [await testKey('ES256', 'one'), await testKey('ES256', 'two')]
  const token = parsed(await sign(two, CLAIMS))
  assert.equal(keySet(one).fits(token), false)
  assert.equal(await keySet(one).verify(token), 'no-matching-key')
})

test('KeySet: without a key id in the token all keys are tried', async () => {
  const [one, two] = [await testKey('ES256', 'one'), await testKey('ES256', 'two')]
  assert.equal(await keySet(one, two).verify(parsed(await sign(two, CLAIMS, { kid: undefined }))), undefined)
})

test('KeySet: a key without an id fits a token with any', async () => {
  const key = await testKey('ES256', 'one')
  const { kid: _, ...jwk } = key.jwk
  const set = KeySet.parse(JSON.stringify({ keys: [jwk] }))!
  assert.equal(await set.verify(parsed(await sign(key, CLAIMS))), undefined)
})

test('KeySet: a key that names an algorithm verifies no other', async () => {
  const key = await testKey('RS256')
  const set = keySet({ ...key, jwk: { ...key.jwk, alg: 'RS512' } })
  assert.equal(await set.verify(parsed(await sign(key, CLAIMS))), 'no-matching-key')
})

test('KeySet: keys of the same id are tried one after the other', async () => {
  const [one, two] = [await testKey('ES256', 'one'), await testKey('ES256', 'two')]
  const set = keySet({ ...one, jwk: { ...one.jwk, kid: 'same' } }, { ...two, jwk: { ...two.jwk, kid: 'same' } })
  assert.equal(await set.verify(parsed(await sign(two, CLAIMS, { kid: 'same' }))), undefined)
})

test('KeySet: a public key is never the secret of an HMAC', async () => {
  const key = await testKey('RS256')
  const { n } = key.jwk
  const secrets = [JSON.stringify(key.jwk), n!, Buffer.from(n!, 'base64url').toString('latin1')]
  for (const secret of secrets) {
    assert.equal(await keySet(key).verify(parsed(confused(key, CLAIMS, secret))), 'bad-signature')
  }
})

test('KeySet: a curve that does not belong to the algorithm does not verify', async () => {
  const key = await testKey('ES384', 'curve')
  assert.equal(await keySet(key).verify(parsed(unsigned({ alg: 'ES256', kid: 'curve' }, CLAIMS))), 'bad-signature')
})

test('KeySet: a token that asks for an extension is refused', async () => {
  const key = await testKey('ES256', 'one')
  const token = await sign(key, CLAIMS, { crit: ['b64'], b64: true })
  assert.equal(await keySet(key).verify(parsed(token)), 'bad-signature')
})

test('KeySet: an Ed25519 signature has 64 bytes', async () => {
  const key = await testKey('EdDSA')
  const token = parsed(unsigned({ alg: 'EdDSA', kid: key.keyId }, CLAIMS))
  assert.equal(await keySet(key).verify(token), 'signature-length')
})

test('KeySet.parse: keys that are none are left out, the others serve', async () => {
  const key = await testKey('ES256', 'one')
  const text = JSON.stringify({
    keys: [null, 1, {}, { kty: 'RSA' }, { kty: 'future', x: 'y' }, { ...key.jwk, kid: 'e', use: 'enc' }, key.jwk],
  })
  assert.equal(await KeySet.parse(text)!.verify(parsed(await sign(key, CLAIMS))), undefined)
  assert.equal(await KeySet.parse(text)!.verify(parsed(await sign(key, CLAIMS, { kid: 'e' }))), 'no-matching-key')
})

for (const text of ['', '{', 'null', '[]', '{}', '{"keys":{}}', '{"keys":[]}', '{"keys":[{"kty":"RSA","n":1}]}']) {
  test(`KeySet.parse: ${text === '' ? 'empty text' : text} is no key set`, () => {
    assert.equal(KeySet.parse(text), null)
  })
}

test('an RSA key of less than 2048 bits verifies nothing, whatever the algorithm', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const keys = KeySet.parse(JSON.stringify({ keys: [publicKey.export({ format: 'jwk' })] }))!
  for (const [algorithm, options] of [
    ['RS256', {}],
    ['PS256', { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }],
  ] as const) {
    const signed = `${encode({ alg: algorithm })}.${encode({ iss: 'x' })}`
    const signature = createSign('sha256')
      .update(signed)
      .sign({ key: privateKey, ...options })
    const token = parseToken(`${signed}.${signature.toString('base64url')}`)
    assert.ok(typeof token !== 'string')
    assert.equal(await keys.verify(token), 'bad-signature')
  }
})
