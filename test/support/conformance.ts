/**
 * Runs the conformance suite for what is delivered: `.ci/conformance.txt` says which areas, and which of their cases
 * are still to come.
 *
 *     node test/support/conformance.ts SUITE [further options of the suite's run.mjs]
 *
 * Its last line is the suite's own: `N passed, N failed, N skipped`.
 */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inContinuousIntegration, meetRequirements } from './requirements.ts'
import { thisMachine } from './tools.ts'

export interface Delivered {
  readonly areas: readonly string[]
  /** Regular expressions for "area/name", matched from its beginning. */
  readonly exceptions: readonly string[]
}

/**
 * Reads the list: an area a line, `!area/REGEX` for cases still to come, `#` and empty lines as usual.
 *
 * @throws An Error that names the line: a typing error would otherwise leave out an area without a word.
 */
export function parseDelivered(text: string): Delivered {
  const areas: string[] = []
  const exceptions: string[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const exception = /^!([a-z0-9-]+)\/./.exec(line)
    if (exception !== null) {
      if (!areas.includes(exception[1] ?? '')) throw new Error(`line ${index + 1}: no area "${exception[1]}" above it`)
      new RegExp(line.slice(1)) // throws a SyntaxError that shows the expression
      exceptions.push(line.slice(1))
    } else if (/^[a-z0-9-]+$/.test(line)) {
      areas.push(line)
    } else {
      throw new Error(`line ${index + 1}: expected an area or !area/REGEX, found "${line}"`)
    }
  }
  return { areas, exceptions }
}

/** The suite's `--only`: one JavaScript regular expression for "area/name". */
export function conformancePattern({ areas, exceptions }: Delivered): string {
  const wanted = `(?:${areas.join('|')})/`
  return exceptions.length === 0 ? `^${wanted}` : `^(?!${exceptions.map((text) => `(?:${text})`).join('|')})${wanted}`
}

/** Areas and exceptions that no case of the suite answers to (any more). @param cases As "area/name". */
export function findStale({ areas, exceptions }: Delivered, cases: readonly string[]): readonly string[] {
  return [
    ...areas.filter((area) => !cases.some((name) => name.startsWith(`${area}/`))),
    ...exceptions
      .filter((text) => !cases.some((name) => new RegExp(`^(?:${text})`).test(name)))
      .map((text) => `!${text}`),
  ]
}

/** The cases in the output of the suite's `--list`: `area/name  [tag, tag]` a line, then how many there are. */
export function parseCaseList(output: string): readonly string[] {
  return output
    .split('\n')
    .filter((line) => line.includes('/'))
    .map((line) => line.replace(/ {2}\[[^\]]*\]$/, ''))
}

async function main(root: string, [suite, ...options]: readonly string[]): Promise<number> {
  if (suite === undefined) throw new Error('usage: node test/support/conformance.ts SUITE [OPTION]...')
  const machine = thisMachine()
  const missing = meetRequirements(['conformance/'], machine)
  for (const reason of missing) process.stderr.write(`${reason}\n`)
  if (missing.length > 0 && inContinuousIntegration(machine)) return 1

  const runner = join(suite, 'run.mjs')
  const delivered = parseDelivered(readFileSync(join(root, '.ci', 'conformance.txt'), 'utf8'))
  const list = spawnSync(process.execPath, [runner, '--list'], { encoding: 'utf8', timeout: 60_000 })
  for (const stale of findStale(delivered, parseCaseList(list.stdout))) {
    process.stderr.write(`.ci/conformance.txt: no case of the suite answers to "${stale}"\n`)
  }
  const args = [runner, '--root', root, '--only', conformancePattern(delivered), ...options]
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

if (import.meta.main) process.exitCode = await main(join(import.meta.dirname, '..', '..'), process.argv.slice(2))
