import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RotatingMaterial } from '../../../src/certificates/rotating-material.ts'

interface Period {
  readonly name: string
  readonly validFrom: number
  readonly validTo: number
}

function start() {
  const reports: string[] = []
  const material = new RotatingMaterial<Period>('own', (problem) => reports.push(problem))
  let generation = 0
  return {
    reports,
    material,
    offer: (name: string, validFrom: number, validTo: number, now: number) =>
      material.offer({ value: { name, validFrom, validTo }, generation: ++generation }, now),
    used: () => material.current?.value.name ?? null,
  }
}

test('a replacement takes over at once', () => {
  const { offer, used, reports } = start()
  offer('a', 0, 10, 5)
  offer('b', 0, 20, 5)
  assert.deepEqual([used(), reports], ['b', []])
})

test('a replacement that cannot be used leaves what there was in use until that expires, and says so once', () => {
  const { offer, used, material, reports } = start()
  offer('a', 0, 10, 5)
  material.refuse('broken', 6)
  material.refresh(7)
  assert.equal(used(), 'a')
  material.refresh(10)
  assert.equal(used(), null)
  offer('b', 0, 20, 11)
  assert.equal(used(), 'b')
  assert.deepEqual(reports, ['broken; the one before stays in use', 'broken', ''])
})

test('a replacement that is not valid yet waits for its time', () => {
  const { offer, used, material, reports } = start()
  offer('a', 0, 10, 5)
  offer('b', 8, 20, 6)
  assert.equal(used(), 'a')
  material.refresh(8)
  assert.equal(used(), 'b')
  assert.deepEqual(reports, ['not valid before 1970-01-01T00:00:00.008Z; the one before stays in use', ''])
})

test('what has expired is used where there is nothing else: the clock of the peer counts', () => {
  const { offer, used, reports } = start()
  offer('a', 0, 10, 15)
  assert.equal(used(), 'a')
  assert.deepEqual(reports, ['expired at 1970-01-01T00:00:00.010Z'])
})

test('what is withdrawn is not used any more', () => {
  const { offer, used, material, reports } = start()
  offer('a', 0, 10, 5)
  material.withdraw('gone', 5)
  assert.deepEqual([used(), reports], [null, ['gone']])
})

test('expiry is told when it comes', () => {
  const { offer, material, reports } = start()
  offer('a', 0, 10, 5)
  material.refresh(9)
  material.refresh(10)
  material.refresh(11)
  assert.deepEqual(reports, ['expired at 1970-01-01T00:00:00.010Z'])
})
