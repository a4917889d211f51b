import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..', '..')

/** The layout table of CONTRIBUTING.md: folder → what it imports from, `folder` or `folder/module`. */
function readLayout(): Map<string, readonly string[]> {
  const text = readFileSync(join(ROOT, 'CONTRIBUTING.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z-]+)` *\|[^|]*\| ([^|]*?) *\|$/gm)].map(([, folder, imports]) => ({
    folder: folder ?? '',
    imports: imports ?? '',
  }))
  const all = rows.map(({ folder }) => folder)
  const named = (text: string): readonly string[] => {
    if (text === 'nothing') return []
    if (text === 'all') return all
    if (text.startsWith('all but ')) return all.filter((folder) => folder !== text.slice('all but '.length))
    return text.split(', ')
  }
  return new Map(rows.map(({ folder, imports }) => [folder, named(imports)]))
}

/** Lints a tree in which each folder imports each other one, directly and from a sub-folder. */
function lintEveryImport(folders: readonly string[]): Map<string, Set<string>> {
  const tree = mkdtempSync(join(tmpdir(), 'layout-'))
  try {
    copyFileSync(join(ROOT, '.oxlintrc.json'), join(tree, '.oxlintrc.json'))
    for (const folder of folders) {
      mkdirSync(join(tree, 'src', folder, 'deep'), { recursive: true })
      const targets = [...folders, 'test', 'loadtest'].filter((other) => other !== folder)
      const write = (file: string, up: string): void =>
        writeFileSync(
          join(tree, 'src', folder, file),
          ['own', ...targets.flatMap((other) => [`${up}${other}/x`, `${up}${other}/problem`])]
            .map((path, index) => `export type { T as T${index} } from '${path === 'own' ? '../own' : path}.ts'\n`)
            .join(''),
        )
      write('near.ts', '../')
      write('deep/far.ts', '../../')
    }
    const oxlint = join(ROOT, 'node_modules', '.bin', 'oxlint')
    const { stdout } = spawnSync(process.execPath, [oxlint, '-f', 'unix', 'src'], {
      cwd: tree,
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      timeout: 60_000,
    })
    const refused = new Map<string, Set<string>>()
    for (const [, file, path] of stdout.matchAll(/^(\S+?):\d+:\d+: '([^']+)' import is restricted/gm)) {
      refused.set(file ?? '', (refused.get(file ?? '') ?? new Set()).add(path ?? ''))
    }
    return refused
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

test('the lint rules refuse exactly the imports that the layout table does not name', () => {
  const layout = readLayout()
  assert.ok(layout.size >= 20, 'the table was found')
  const folders = [...layout.keys()]
  const refused = lintEveryImport(folders)
  for (const [folder, imports] of layout) {
    for (const [file, up] of [
      ['near.ts', '../'],
      ['deep/far.ts', '../../'],
    ] as const) {
      const expected = [...folders, 'test', 'loadtest']
        .filter((other) => other !== folder)
        .flatMap((other) => ['x', 'problem'].map((module) => `${other}/${module}`))
        .filter((path) => !imports.includes(path) && !imports.includes(path.split('/')[0] ?? ''))
        .map((path) => `${up}${path}.ts`)
      const found = [...(refused.get(`src/${folder}/${file}`) ?? [])]
      assert.deepEqual(found.sort(), expected.sort(), `src/${folder}/${file}`)
    }
  }
})

test('every folder of src has a line in the layout table', () => {
  const layout = readLayout()
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const unlisted = folders.map((entry) => entry.name).filter((name) => !layout.has(name))
  assert.deepEqual(unlisted, [])
})
