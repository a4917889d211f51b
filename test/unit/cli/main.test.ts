import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { buildProgram } from '../../../src/cli/main.ts'
import { RUN_FLAGS } from '../../../src/cli/run-flags.ts'
import { leaves } from '../../../src/settings/read.ts'
import { capture } from './capture.ts'

const silent = { stdout: { write: () => {} }, stderr: { write: () => {} }, env: {}, cwd: '/' }
const commands = buildProgram({ io: silent, exit: () => {} }).commands.map((command) => command.name())

test('the commands are those of the contract', () => {
  assert.deepEqual(commands, [
    'run',
    'demo',
    'analyze',
    'explain',
    'listeners',
    'routes',
    'clusters',
    'certs',
    'egress',
    'status',
    'dashboard',
    'version',
  ])
})

for (const name of commands) {
  test(`sluice ${name} --help shows its flags and examples, and ends with 0`, async () => {
    const { code, stdout, stderr } = await capture([name, '--help'])
    assert.equal(code, 0)
    assert.equal(stderr, '')
    assert.match(stdout, new RegExp(`^Usage: sluice ${name} `))
    assert.match(stdout, /\nExamples:\n {2}(?:\S+=\S+ )?sluice /)
  })
}

const mistakes: Record<string, { args: string[]; says: RegExp }> = {
  'an unknown command names the nearest one': {
    args: ['analyse'],
    says: /unknown command 'analyse'\n\(Did you mean analyze\?\)/,
  },
  'an unknown flag names the nearest one': {
    args: ['run', '--worker', '2'],
    says: /unknown option '--worker'\n\(Did you mean --workers\?\)/,
  },
  'a flag without its argument says so': { args: ['run', '--admin'], says: /option '--admin .*' argument missing/ },
  'an argument too many says so': { args: ['routes', 'all'], says: /too many arguments/ },
  'an argument too few says so': { args: ['explain', 'GET'], says: /missing required argument 'URL'/ },
  'an output format that there is not lists those that there are': {
    args: ['routes', '--output', 'xml'],
    says: /Allowed choices are table, json/,
  },
  'a bad value of a setting names the flag': {
    args: ['run', '--workers', 'many'],
    says: /^--workers: error: expected auto, or/,
  },
  'no command at all shows the help': { args: [], says: /^Usage: sluice / },
}

for (const [name, { args, says }] of Object.entries(mistakes)) {
  test(`${name}, and ends with 2`, async () => {
    const { code, stdout, stderr } = await capture(args)
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, says)
  })
}

test('the flags of run are those that settings name, and say the same default', () => {
  const named = leaves().flatMap(({ path, field }) => {
    const { flag, defaultText } = field.setting
    return flag === undefined ? [] : [{ path: path.join('.'), flag, defaultText }]
  })
  const written = RUN_FLAGS.map(({ path, long, argument }) => ({
    path,
    flag: argument === undefined ? long : `${long} ${argument}`,
  }))
  const sorted = (flags: readonly { path: string; flag: string }[]) =>
    flags.map(({ path, flag }) => `${path} ${flag}`).sort()
  assert.deepEqual(sorted(written), sorted(named))
  for (const { path, defaultText } of named) {
    const plain = /^`([^`]+)`$/.exec(defaultText)?.[1]
    const help = RUN_FLAGS.find((flag) => flag.path === path)?.help ?? ''
    if (plain !== undefined && !plain.startsWith('[')) assert.ok(help.includes(`default ${plain}`), path)
  }
})

test('version prints the version of the package', async () => {
  const file = join(import.meta.dirname, '../../../package.json')
  const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version: string }
  const text = await capture(['version'])
  assert.equal(text.stdout, `sluice ${version} (node ${process.versions.node})\n`)
  const json = await capture(['version', '--output', 'json'])
  assert.deepEqual(JSON.parse(json.stdout), { sluice: version, node: process.versions.node })
})
