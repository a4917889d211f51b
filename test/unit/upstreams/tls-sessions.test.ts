import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TlsSessions } from '../../../src/upstreams/tls-sessions.ts'

const kept = (name: string, expiresAt = 100) => ({ session: Buffer.from(name), expiresAt })
const found = (sessions: TlsSessions, key: string, now = 0) => sessions.find(key, now)?.session.toString() ?? null

test('the newest session of a key is used, again and again', () => {
  const sessions = new TlsSessions()
  for (const name of ['1', '2']) sessions.keep('a', kept(name))
  assert.deepEqual([found(sessions, 'a'), found(sessions, 'a'), found(sessions, 'b')], ['2', '2', null])
})

test('a session ends with the certificate of its peer', () => {
  const sessions = new TlsSessions()
  sessions.keep('a', kept('1', 50))
  assert.deepEqual([found(sessions, 'a', 49), found(sessions, 'a', 50), found(sessions, 'a', 49)], ['1', null, null])
})

test('there are only so many: the one that was used longest ago goes', () => {
  const sessions = new TlsSessions()
  sessions.keep('used', kept('used'))
  for (let i = 0; i < 200; i++) {
    sessions.keep(`peer ${i}`, kept(String(i)))
    sessions.find('used', 0)
  }
  assert.deepEqual(
    ['used', 'peer 0', 'peer 199'].map((key) => found(sessions, key)),
    ['used', null, '199'],
  )
})
