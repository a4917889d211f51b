import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..', '..')

interface Copy {
  readonly from: string | undefined
  readonly sources: readonly string[]
}

/** Instructions with their continuation lines joined, comments left out. */
function instructions(): readonly string[] {
  return readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
}

function copies(): readonly Copy[] {
  return instructions()
    .filter((line) => line.startsWith('COPY '))
    .map((line) => {
      const words = line.split(/\s+/).slice(1)
      const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length)
      return { from, sources: words.filter((word) => !word.startsWith('--')).slice(0, -1) }
    })
}

test('every path that the image copies from the repository is there', () => {
  const sources = copies().flatMap((copy) => (copy.from === undefined ? copy.sources : []))
  assert.ok(sources.includes('package.json'))
  assert.deepEqual(
    sources.filter((path) => !existsSync(join(ROOT, path))),
    [],
  )
})

test('every path that the image copies from the repository is let through by .dockerignore', () => {
  const kept = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('!'))
    .map((line) => line.slice(1))
  const sources = copies().flatMap((copy) => (copy.from === undefined ? copy.sources : []))
  const isKept = (path: string): boolean => kept.some((entry) => path === entry || path.startsWith(`${entry}/`))
  assert.deepEqual(
    sources.filter((path) => !isKept(path)),
    [],
  )
})

test('what the image copies from its first stage is made there', () => {
  const { compilerOptions } = JSON.parse(readFileSync(join(ROOT, 'tsconfig.build.json'), 'utf8')) as {
    compilerOptions: { outDir: string }
  }
  const made = ['/build/node_modules', `/build/${compilerOptions.outDir}`]
  const copied = copies().flatMap(({ from, sources }) => (from === 'build' ? sources : []))
  assert.ok(copied.length > 0)
  assert.deepEqual(
    copied.filter((path) => !made.includes(path)),
    [],
  )
})

test('the image runs as a numbered user that is not root, and starts the published program', () => {
  const lines = instructions()
  assert.equal(
    lines.findLast((line) => line.startsWith('USER ')),
    'USER 65532:65532',
  )
  const { bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { bin: { sluice: string } }
  assert.ok(lines.includes(`ENTRYPOINT ["node", "/app/${bin.sluice}"]`))
})

test('the image is built on the major version of Node that tests run on', () => {
  const base = instructions().find((line) => line.startsWith('ARG NODE_IMAGE=')) ?? ''
  assert.equal(/node:(\d+)-/.exec(base)?.[1], process.versions.node.split('.')[0])
})
