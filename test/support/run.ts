/**
 * What `npm test` runs: every test file (`*.test.ts` below test/), or those that the arguments name, with node:test.
 *
 *     npm test                          all
 *     npm test -- unit/compile cors     files whose path contains one of these
 *     npm test -- --name 'prefix'       only tests whose name matches (a regular expression)
 *     npm test -- --update              write snapshots anew
 *     npm test -- --jobs 1              test files at a time (default: one a core)
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, sep } from 'node:path'
import { parseArgs } from 'node:util'
import { inContinuousIntegration, meetRequirements } from './requirements.ts'
import { thisMachine } from './tools.ts'

export interface RunOptions {
  /** Parts of paths; a file is run when it contains any of them. None: all files. */
  readonly filters: readonly string[]
  readonly name: string | undefined
  readonly update: boolean
  readonly jobs: number
}

/** Longest that one test file may take, milliseconds: a test that waits for ever fails and says which one it is. */
const FILE_TIMEOUT_MS = 600_000

/** Most test files at a time: more of them only make timings less certain. */
const MOST_JOBS = 8

/** Reads the arguments of `npm test --`. @throws A TypeError for a flag that there is not, and for bad `--jobs`. */
export function parseRunOptions(args: readonly string[], cores: number): RunOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      name: { type: 'string' },
      update: { type: 'boolean', default: false },
      jobs: { type: 'string' },
    },
  })
  const jobs = values.jobs === undefined ? Math.min(Math.max(cores, 1), MOST_JOBS) : Number(values.jobs)
  if (!Number.isInteger(jobs) || jobs < 1)
    throw new TypeError(`--jobs takes a whole number from 1, not "${values.jobs}"`)
  return { filters: positionals, name: values.name, update: values.update, jobs }
}

/** The test files under `root` that the filters choose, from the root with `/`, in alphabetical order. */
export function findTests(root: string, filters: readonly string[]): readonly string[] {
  return globSync('test/**/*.test.ts', { cwd: root })
    .map((file) => file.replaceAll(sep, '/'))
    .filter((file) => filters.length === 0 || filters.some((filter) => file.includes(filter)))
    .sort()
}

/** The arguments for `node` that run these files. */
export function nodeArguments(options: RunOptions, files: readonly string[]): readonly string[] {
  return [
    '--test',
    `--test-concurrency=${options.jobs}`,
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    ...(options.name === undefined ? [] : [`--test-name-pattern=${options.name}`]),
    ...(options.update ? ['--test-update-snapshots'] : []),
    ...files,
  ]
}

/** @returns The exit code: node:test's own; 1 when there is nothing to run or, with `CI=true`, a tool is missing. */
async function main(root: string): Promise<number> {
  const options = parseRunOptions(process.argv.slice(2), availableParallelism())
  const files = findTests(root, options.filters)
  if (files.length === 0) {
    process.stderr.write(`no test/**/*.test.ts has ${options.filters.join(' or ')} in its path\n`)
    return 1
  }
  const machine = thisMachine()
  const missing = meetRequirements(files, machine)
  for (const reason of missing) process.stderr.write(`${reason}\n`)
  if (missing.length > 0 && inContinuousIntegration(machine)) return 1

  const child = spawn(process.execPath, nodeArguments(options, files), { cwd: root, stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

if (import.meta.main) process.exitCode = await main(join(import.meta.dirname, '..', '..'))
