import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { SharedKeyStore } from '../../../src/tokens/shared-keys.ts'
import { COOLDOWN_MS } from '../../../src/tokens/remote-keys.ts'
import { manualTime } from '../certificates/mesh/manual-time.ts'
import { keySetText, type TestKey, testKey } from './make-token.ts'

const PLAN = { kind: 'uri', uri: 'https://issuer.test/keys', timeoutMs: 5000 } as const
const SOURCE = 'uri https://issuer.test/keys'
const DAY_MS = 86_400_000

let key: TestKey
before(async () => {
  key = await testKey('ES256')
})

function open() {
  const time = manualTime()
  const asked: string[] = []
  const store = new SharedKeyStore({
    timers: time.timers,
    now: () => time.timers.now(),
    maxAgeMs: DAY_MS,
    ask: (source) => void asked.push(source),
  })
  return { time, asked, store }
}

test('shared keys are those that were handed on last, also before anybody asked for them', () => {
  const { store } = open()
  store.take(SOURCE, { text: keySetText(key), fetchedAt: 0 })
  const keys = store.create(PLAN)
  const first = keys.current()
  assert.ok(first !== null)
  store.take(SOURCE, { text: keySetText(key), fetchedAt: 1000 })
  assert.equal(keys.current(), first, 'the same keys: tokens need not prove themselves again')
  store.take(SOURCE, { text: `${keySetText(key)} `, fetchedAt: 1000 })
  assert.notEqual(keys.current(), first)
})

test('shared keys: all users of an address ask once, and get the answer', async () => {
  const { store, asked, time } = open()
  const keys = store.create(PLAN)
  const newer = keys.newer()
  assert.equal(keys.newer(), newer)
  assert.deepEqual(asked, [SOURCE])
  store.take(SOURCE, { text: keySetText(key), fetchedAt: 0 })
  assert.equal(await newer, keys.current())
  assert.equal(keys.newer(), null, 'asking again so soon would change nothing')
  time.pass(COOLDOWN_MS)
  const again = keys.newer()
  store.take(SOURCE, null)
  assert.equal(await again, null)
  assert.ok(keys.current() !== null, 'the ones from before stay in use')
})

test('shared keys: an answer that does not come is done without', async () => {
  const { store, time } = open()
  const newer = store.create(PLAN).newer()
  time.pass(2 * PLAN.timeoutMs + 1000)
  assert.equal(await newer, null)
})

test('shared keys get too old, and are forgotten with their last user', () => {
  const { store, time } = open()
  store.take(SOURCE, { text: keySetText(key), fetchedAt: 0 })
  const keys = store.create(PLAN)
  time.pass(DAY_MS + 1)
  assert.equal(keys.current(), null)
  store.take(SOURCE, { text: keySetText(key), fetchedAt: time.timers.now() })
  keys.close()
  assert.equal(store.create(PLAN).current(), null)
})
