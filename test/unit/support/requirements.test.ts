import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  REQUIREMENTS,
  type Requirement,
  meetRequirements,
  requirementsOf,
  skipWithout,
} from '../../support/requirements.ts'
import { type Machine, findCommand } from '../../support/tools.ts'

const TABLE: readonly Requirement[] = [
  { command: 'no-such-server', debianPackage: 'some-server', neededBy: ['test/integration/limits/'] },
  { command: 'no-such-client', debianPackage: 'some-server', neededBy: ['test/integration/'] },
]

/** A machine whose `apt-get install` puts `installs` into a folder on its PATH; it writes down what was run. */
function machineThat({ canInstall = true, installs = [] as readonly string[], ci = false } = {}): {
  machine: Machine
  ran: string[]
  folder: string
} {
  const folder = mkdtempSync(join(tmpdir(), 'tools-'))
  const ran: string[] = []
  const execute = (program: string, args: readonly string[]): boolean => {
    ran.push([program, ...args].join(' '))
    if (!args.includes('install')) return true
    for (const command of installs) {
      writeFileSync(join(folder, command), '#!/bin/sh\n')
      chmodSync(join(folder, command), 0o755)
    }
    return true
  }
  return { machine: { env: { PATH: folder, ...(ci ? { CI: 'true' } : {}) }, canInstall, execute }, ran, folder }
}

test('only tools that the chosen files need are looked for', () => {
  const commands = (files: readonly string[]): readonly string[] =>
    requirementsOf(files, TABLE).map((row) => row.command)
  assert.deepEqual(commands(['test/unit/lib/duration.test.ts']), [])
  assert.deepEqual(commands(['test/integration/tls.test.ts']), ['no-such-client'])
  assert.deepEqual(commands(['test/integration/limits/redis.test.ts']), ['no-such-server', 'no-such-client'])
})

test('missing tools are installed with one update and one install, each package once', () => {
  const { machine, ran, folder } = machineThat({ installs: ['no-such-server', 'no-such-client'] })
  assert.deepEqual(meetRequirements(['test/integration/limits/redis.test.ts'], machine, TABLE), [])
  assert.deepEqual(ran, ['apt-get update -qq', 'apt-get install -y -qq --no-install-recommends some-server'])
  rmSync(folder, { recursive: true })
})

test('what an installation did not bring is reported with its package', () => {
  const { machine, folder } = machineThat({ installs: ['no-such-client'] })
  const reasons = meetRequirements(['test/integration/limits/redis.test.ts'], machine, TABLE)
  assert.deepEqual(reasons, ['needs no-such-server, which is not on this machine (Debian package: some-server)'])
  rmSync(folder, { recursive: true })
})

test('nothing is run where packages cannot be installed', () => {
  const { machine, ran, folder } = machineThat({ canInstall: false })
  assert.equal(meetRequirements(['test/integration/tls.test.ts'], machine, TABLE).length, 1)
  assert.deepEqual(ran, [])
  rmSync(folder, { recursive: true })
})

test('a test whose tool is missing is skipped with a reason, and fails with CI=true', () => {
  const [requirement] = REQUIREMENTS
  const present = machineThat({ installs: [requirement.command] })
  present.machine.execute('apt-get', ['install'])
  assert.equal(skipWithout(requirement.command, present.machine), false)
  rmSync(present.folder, { recursive: true })
  if (findCommand(requirement.command, '') !== undefined) return // in /usr/sbin, which is looked at in any case
  const without = machineThat()
  const missing = /needs .*not on this machine/
  assert.match(String(skipWithout(requirement.command, without.machine)), missing)
  assert.throws(() => skipWithout(requirement.command, { env: { ...without.machine.env, CI: 'true' } }), missing)
  rmSync(without.folder, { recursive: true })
})

test('a file that is not executable is no command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tools-'))
  writeFileSync(join(folder, 'no-such-tool'), '', { mode: 0o644 })
  assert.equal(findCommand('no-such-tool', folder), undefined)
  assert.equal(findCommand('no-such-tool', undefined), undefined)
  rmSync(folder, { recursive: true })
})
