import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import type { JwtKeysPlan } from '../../../src/plan/jwt.ts'
import type { CachedKeySet, KeySetCache } from '../../../src/tokens/key-set-cache.ts'
import { KeyStore } from '../../../src/tokens/key-store.ts'
import { COOLDOWN_MS, fetching, REFRESH_MS, RemoteKeys, type RemoteKeysDeps } from '../../../src/tokens/remote-keys.ts'
import { manualTime } from '../certificates/mesh/manual-time.ts'
import { keySetText, parsed, sign, type TestKey, testKey } from './make-token.ts'

const URI = { kind: 'uri', uri: 'https://issuer.test/keys', timeoutMs: 5000 } as const
const DISCOVERY = {
  kind: 'discovery',
  uri: 'https://issuer.test/.well-known/openid-configuration',
  timeoutMs: 5000,
} as const
const DAY_MS = 86_400_000

let one: TestKey
let two: TestKey

before(async () => {
  one = await testKey('ES256', 'one')
  two = await testKey('ES256', 'two')
})

/** An issuer whose answers a test writes, and everything else that keys need. */
class Issuer {
  readonly time = manualTime()
  readonly asked: string[] = []
  readonly warnings: string[] = []
  /** By address; an Error is thrown. */
  readonly answers = new Map<string, string | Error | Promise<string>>()
  readonly saved = new Map<string, CachedKeySet>()
  readonly cache: KeySetCache = {
    read: (source) => this.saved.get(source),
    write: async (source, keySet) => void this.saved.set(source, keySet),
  }
  readonly deps: RemoteKeysDeps = {
    timers: this.time.timers,
    now: () => 1_700_000_000_000 + this.time.timers.now(),
    random: () => 0,
    fetchText: async (url) => {
      this.asked.push(url)
      const answer = await this.answers.get(url)
      if (answer instanceof Error || answer === undefined) throw answer ?? new Error('status 404')
      return answer
    },
    cache: this.cache,
    maxAgeMs: DAY_MS,
    log: { info: () => {}, warn: (_, message) => void this.warnings.push(message) },
  }
}

/** Lets all that is ready happen. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

test('RemoteKeys: keys are fetched ahead of need', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(URI, issuer.deps)
  assert.equal(keys.current(), null)
  await settle()
  assert.notEqual(keys.current(), null)
  assert.deepEqual(issuer.asked, [URI.uri])
  keys.close()
})

test('RemoteKeys: a request that comes before the first keys waits for them', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(URI, issuer.deps)
  assert.equal((await keys.newer())?.fits(parsed(await sign(one, {}))), true)
  assert.equal(issuer.asked.length, 1)
  keys.close()
})

test('RemoteKeys: discovery names the address of the keys', async () => {
  const issuer = new Issuer()
  issuer.answers.set(DISCOVERY.uri, JSON.stringify({ jwks_uri: URI.uri }))
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(DISCOVERY, issuer.deps)
  await settle()
  assert.notEqual(keys.current(), null)
  assert.deepEqual(issuer.asked, [DISCOVERY.uri, URI.uri])
  keys.close()
})

for (const [name, document] of Object.entries({ 'no address': '{}', 'no JSON': '<html>', null: 'null' })) {
  test(`RemoteKeys: a discovery document that is ${name} gives no keys`, async () => {
    const issuer = new Issuer()
    issuer.answers.set(DISCOVERY.uri, document)
    const keys = new RemoteKeys(DISCOVERY, issuer.deps)
    await settle()
    assert.equal(keys.current(), null)
    assert.deepEqual(issuer.warnings, ['keys for tokens cannot be fetched: every token of this issuer is refused'])
    keys.close()
  })
}

test('RemoteKeys: keys are fetched again in the background', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(URI, issuer.deps)
  await settle()
  issuer.answers.set(URI.uri, keySetText(two))
  issuer.time.pass(REFRESH_MS - 1)
  await settle()
  assert.equal(issuer.asked.length, 1)
  issuer.time.pass(1)
  await settle()
  assert.equal(keys.current()!.fits(parsed(await sign(two, {}))), true)
  assert.equal(keys.current()!.fits(parsed(await sign(one, {}))), false)
  keys.close()
})

test('RemoteKeys: while the issuer is away its last keys serve, up to their greatest age', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(URI, issuer.deps)
  await settle()
  issuer.answers.set(URI.uri, new Error('status 503'))
  issuer.time.pass(REFRESH_MS)
  await settle()
  assert.deepEqual(issuer.warnings, ['keys for tokens cannot be fetched: the ones from before stay in use'])
  issuer.time.pass(DAY_MS - REFRESH_MS)
  await settle()
  assert.notEqual(keys.current(), null)
  issuer.time.pass(1)
  assert.equal(keys.current(), null)
  issuer.answers.set(URI.uri, keySetText(one))
  issuer.time.pass(60_000)
  await settle()
  assert.notEqual(keys.current(), null)
  keys.close()
})

test('RemoteKeys: an answer without keys does not take the place of keys', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(URI, issuer.deps)
  await settle()
  issuer.answers.set(URI.uri, '{"keys":[]}')
  issuer.time.pass(REFRESH_MS)
  await settle()
  assert.notEqual(keys.current(), null)
  keys.close()
})

test('RemoteKeys: after failures it asks less and less often, but at least once a minute', async () => {
  const issuer = new Issuer()
  const keys = new RemoteKeys(URI, issuer.deps)
  await settle()
  const waits: number[] = []
  for (let round = 0; round < 9; round++) {
    let waited = 0
    for (const asked = issuer.asked.length; issuer.asked.length === asked && waited < 120; waited++) {
      issuer.time.pass(1000)
      await settle()
    }
    waits.push(waited)
  }
  assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60])
  keys.close()
})

test('RemoteKeys: unknown keys are asked for at once, but only once in a while', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  const keys = new RemoteKeys(URI, issuer.deps)
  await settle()
  assert.equal(keys.newer(), null)
  issuer.time.pass(COOLDOWN_MS)
  issuer.answers.set(URI.uri, keySetText(one, two))
  const [first, second] = await Promise.all([keys.newer(), keys.newer()])
  assert.equal(first, second)
  assert.equal(first!.fits(parsed(await sign(two, {}))), true)
  assert.equal(keys.newer(), null)
  assert.equal(issuer.asked.length, 2)
  keys.close()
})

test('RemoteKeys: keys outlive a restart, with the age that they have', async () => {
  const issuer = new Issuer()
  issuer.answers.set(URI.uri, keySetText(one))
  new RemoteKeys(URI, issuer.deps).close()
  await settle()
  issuer.answers.clear()
  issuer.time.pass(DAY_MS)
  const keys = new RemoteKeys(URI, issuer.deps)
  assert.notEqual(keys.current(), null)
  await settle()
  assert.equal(issuer.asked.length, 2)
  issuer.time.pass(1)
  assert.equal(keys.current(), null)
  keys.close()
})

test('RemoteKeys: saved keys from the future do not last longer than others', async () => {
  const issuer = new Issuer()
  issuer.saved.set(`uri ${URI.uri}`, { text: keySetText(one), fetchedAt: issuer.deps.now() + 10 * DAY_MS })
  const keys = new RemoteKeys(URI, issuer.deps)
  await settle()
  assert.notEqual(keys.current(), null)
  issuer.time.pass(DAY_MS + 1)
  assert.equal(keys.current(), null)
  keys.close()
})

test('KeyStore: a reload fetches nothing anew, and gives up what is no longer asked for', async () => {
  const issuer = new Issuer()
  const other: JwtKeysPlan = { ...URI, uri: 'https://other.test/keys' }
  issuer.answers.set(URI.uri, keySetText(one))
  issuer.answers.set(other.uri, keySetText(two))
  const store = new KeyStore(fetching(issuer.deps))
  const [first] = store.use([URI, other])
  await settle()
  const [again, inline, none, same] = store.use([URI, { kind: 'inline', jwks: keySetText(two) }, { kind: 'none' }, URI])
  assert.equal(again, first)
  assert.equal(same, first)
  assert.equal(inline!.current()!.fits(parsed(await sign(two, {}))), true)
  assert.equal(none!.current(), null)
  assert.deepEqual(issuer.asked, [URI.uri, other.uri])
  issuer.time.pass(REFRESH_MS)
  await settle()
  assert.deepEqual(issuer.asked, [URI.uri, other.uri, URI.uri])
  store.close()
  issuer.time.pass(REFRESH_MS)
  await settle()
  assert.equal(issuer.asked.length, 3)
})

test('KeyStore: an issuer that hangs does not hold up another', async () => {
  const issuer = new Issuer()
  issuer.answers.set('https://slow.test/keys', new Promise<string>(() => {}))
  issuer.answers.set(URI.uri, keySetText(one))
  const store = new KeyStore(fetching(issuer.deps))
  const [slow, fast] = store.use([{ ...URI, uri: 'https://slow.test/keys' }, URI])
  await settle()
  assert.equal(slow!.current(), null)
  assert.notEqual(fast!.current(), null)
  store.close()
})
