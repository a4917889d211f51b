import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseRollup, parseStat, readUsage, selectTree } from '../../../loadtest/lib/process-tree.ts'

const stat = (pid: number, command: string, parent: number, times: string): string =>
  `${pid} (${command}) S ${parent} 1 1 0 -1 4194560 100 0 0 0 ${times} 20 0 1 0 100 1000 10`

test('the times of a process and of the children it has waited for are added up', () => {
  assert.deepEqual(parseStat(stat(7, 'nginx', 1, '5 3 20 10')), { pid: 7, parent: 1, ticks: 38 })
})

test('a command with spaces and parentheses does not shift the fields', () => {
  assert.deepEqual(parseStat(stat(7, 'a) S 9 (b', 1, '5 3 0 0')), { pid: 7, parent: 1, ticks: 8 })
})

test('what could not be read is no process', () => {
  for (const line of ['', 'garbage', '7 (x']) assert.equal(parseStat(line), undefined)
})

test('a tree is the process, its children and theirs, and nothing beside it', () => {
  const processes = [
    [1, 0],
    [5, 1],
    [6, 5],
    [7, 6],
    [8, 1],
  ].map(([pid, parent]) => ({ pid: pid ?? 0, parent: parent ?? 0, ticks: 0 }))
  assert.deepEqual(
    selectTree(processes, 5).map(({ pid }) => pid),
    [5, 6, 7],
  )
  assert.deepEqual(selectTree(processes, 9), [])
})

test('memory is read from a rollup in bytes', () => {
  const rollup =
    '00400000-7ffd [rollup]\nRss:                2048 kB\nPss:                1024 kB\nPss_Anon:           1 kB\n'
  assert.equal(parseRollup(rollup, 'Rss'), 2 * 1024 * 1024)
  assert.equal(parseRollup(rollup, 'Pss'), 1024 * 1024)
  assert.equal(parseRollup('', 'Pss'), 0)
})

/** A script that works for so long and then waits, telling when it does. */
/** CPU time, so that it holds on a machine that has other things to do. */
const burn = (ms: number, then: string): string => `while (process.cpuUsage().user < ${ms} * 1000) {} ; ${then}`
const WAIT = `console.log('done'); setTimeout(() => {}, 60000)`

const onLinux = { skip: process.platform !== 'linux' && 'reads /proc' }

test('work of a grandchild counts, while it runs and after it has ended', onLinux, async () => {
  const grandchild = burn(300, '')
  const child = `require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(grandchild)}]); ${WAIT}`
  const process_ = spawn(process.execPath, ['-e', child], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(process_.stdout, 'data')
    const usage = readUsage(process_.pid ?? 0)
    assert.equal(usage.processes, 1, 'the grandchild has ended')
    assert.ok(usage.cpuSeconds >= 0.15 && usage.cpuSeconds < 5, `${usage.cpuSeconds} s`)
    assert.ok(usage.rssBytes > 10e6 && usage.pssBytes > 1e6 && usage.pssBytes <= usage.rssBytes)
  } finally {
    process_.kill('SIGKILL')
    await once(process_, 'close')
  }
})
