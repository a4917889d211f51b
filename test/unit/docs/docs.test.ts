import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { CommanderError } from 'commander'
import { buildProgram } from '../../../src/cli/main.ts'
import { METRICS } from '../../../src/observability/metric-table.ts'
import { cliReference } from '../../../src/cli/reference.ts'
import { leaves } from '../../../src/settings/read.ts'

const ROOT = join(import.meta.dirname, '..', '..', '..')
const PAGES = ['README.md', ...globSync('docs/**/*.md', { cwd: ROOT }).sort()]

const text = (page: string): string => readFileSync(join(ROOT, page), 'utf8')

/** Anchors that GitHub makes of headings. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = [...text(page).matchAll(/^#{1,6} (.+)$/gm)].map(([, heading]) => heading ?? '')
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

for (const page of PAGES) {
  test(`every relative link in ${page} leads somewhere`, () => {
    const links = [...text(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link ?? '')
    for (const link of links.filter((candidate) => !/^[a-z]+:/.test(candidate))) {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : join(dirname(page), path)
      assert.ok(existsSync(join(ROOT, target)), `${link} in ${page}`)
      if (anchor === undefined || statSync(join(ROOT, target)).isDirectory()) continue
      assert.ok(anchorsOf(target).has(anchor), `#${anchor} in ${target}, named in ${page}`)
    }
  })
}

/** `sluice …` in code blocks and between back-quotes, without what a shell would do with the rest of the line. */
function commandLines(page: string): readonly string[] {
  const blocks = [...text(page).matchAll(/^```(?:sh|text)\n(.*?)^```$/gms)].flatMap(([, block]) =>
    (block ?? '').split('\n'),
  )
  const inline = [...text(page).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? '')
  return [...blocks, ...inline].flatMap((line) => {
    const found = /^\s*(?:[A-Z_]+=\S+ )?(?:npx )?sluice ([a-z].*)$/.exec(line)?.[1]
    return found === undefined ? [] : [found.replace(/ {2,}.*$/, '').replace(/ #.*$/, '')]
  })
}

/** Splits at blanks outside quotes: the lines in the docs need no more of a shell. */
function words(line: string): readonly string[] {
  return [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(
    ([, single, double, bare]) => single ?? double ?? bare ?? '',
  )
}

/** Reads a command line as the program does, without running it. @returns What is wrong with it. */
async function complaint(line: string): Promise<string | undefined> {
  let said = ''
  const output = { write: (part: string) => (said += part) }
  const program = buildProgram({ io: { stdout: output, stderr: output, env: {}, cwd: '/' }, exit: () => {} })
  for (const command of program.commands) {
    for (const each of [command, ...command.commands]) each.action(() => {})
  }
  try {
    await program.parseAsync([...words(line)], { from: 'user' })
    return undefined
  } catch (error) {
    return error instanceof CommanderError && error.exitCode === 0 ? undefined : said
  }
}

test('the docs have command lines, and the checker sees a wrong one', async () => {
  assert.ok(PAGES.flatMap(commandLines).length > 20)
  assert.notEqual(await complaint('run --wrokers 2'), undefined)
})

for (const page of PAGES) {
  const lines = commandLines(page)
  if (lines.length === 0) continue
  test(`every command line in ${page} can be read by the program`, async () => {
    for (const line of lines) {
      // A bare name of a command is how the text speaks of it, whatever arguments it needs.
      if (/^[a-z]+$/.test(line)) continue
      assert.equal(await complaint(line), undefined, `sluice ${line}`)
    }
  })
}

test('docs/cli.md is what --help says', () => {
  assert.equal(text('docs/cli.md'), cliReference(), 'run: node_modules/.bin/node src/cli/reference.ts')
})

test('every setting that the docs name exists', () => {
  const known = leaves().map(({ path }) => path.join('.'))
  const groups = new Set(known.flatMap((path) => path.split('.').map((_, i, parts) => parts.slice(0, i + 1).join('.'))))
  const pattern = /`((?:mesh|downstream|upstream|metrics|redis)\.[A-Za-z0-9.]+)(?:: [^`]+)?`/g
  for (const page of PAGES) {
    for (const [, name] of text(page).matchAll(pattern)) assert.ok(groups.has(name ?? ''), `${name} in ${page}`)
  }
})

test('docs/operations.md names every metric', () => {
  const page = text('docs/operations.md')
  // The three event loop metrics share a row.
  const names = Object.keys(METRICS).filter((name) => !/_lag_(?:p99|max)_/.test(name))
  for (const name of names) assert.ok(page.includes(`\`${name}\``), name)
})
