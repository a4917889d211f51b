import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { normalizePath } from '../../../src/listeners/path-normalization.ts'
import type { PathNormalization } from '../../../src/plan/plan.ts'

const cases: Record<PathNormalization, Record<string, string | null>> = {
  NONE: { '/a/../b//c/%2e%2e': '/a/../b//c/%2e%2e', '/%00': '/%00' },
  BASE: {
    '/': '/',
    '/a/b/../c': '/a/c',
    '/a/./b': '/a/b',
    '/a/.': '/a/',
    '/a/..': '/',
    '/a/b/%2E%2E/c': '/a/c',
    '/a/%2e./b': '/b',
    '/../../x': '/x',
    '/..hidden/...': '/..hidden/...',
    '/x\\..\\admin': '/admin',
    '/%41%7e%2D': '/A~-',
    '/A/%2F%2f/%5c': '/A/%2F%2f/%5c',
    '//double//slash': '//double//slash',
    '/a//../b': '/a/b',
    '/a%20b/%C3%A9': '/a%20b/%C3%A9',
    '/semi;colon=1,comma/@:$': '/semi;colon=1,comma/@:$',
    '/a"b<c>d`e{f|g}h^i': '/a%22b%3Cc%3Ed%60e%7Bf%7Cg%7Dh%5Ei',
    '/caf\u00e9': '/caf%E9',
    '/a%zz': '/a%zz',
    '/a%': '/a%',
    '/%%32e': '/%252e',
    '/a%00b': null,
  },
  MERGE_SLASHES: { '//a///b': '/a/b', '/x/..//admin': '/admin', '/%2F/': '/%2F/' },
  DECODE_AND_MERGE_SLASHES: { '/a%2Fb%5Cc': '/a/b/c', '/x%2F..%2Fadmin': '/admin', '/%2f%2F/': '/' },
}

for (const [mode, paths] of Object.entries(cases)) {
  for (const [path, normal] of Object.entries(paths)) {
    test(`normalizePath ${mode}: ${path} is ${normal ?? 'refused'}`, () => {
      assert.equal(normalizePath(path, mode as PathNormalization), normal)
    })
  }
}

const piece = fc.constantFrom(
  '/',
  '//',
  '.',
  '..',
  '%2e',
  '%2E',
  '%2f',
  '%5C',
  '\\',
  '%',
  '%%',
  '32e',
  'a',
  'B',
  ';',
  '%41',
  '\u00e9',
)

test('normalizePath: a normal form is its own normal form, so no second reader can disagree', () => {
  for (const mode of ['BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'] as const) {
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const normal = normalizePath(`/${pieces.join('')}`, mode)
        if (normal === null) return
        assert.ok(normal.startsWith('/'), normal)
        assert.ok(!/\/\.\.?(\/|$)/.test(normal), normal)
        // `%` that begins no escape may be followed by what an escape became: that is the one thing left to encode.
        if (!/%(?![0-9a-fA-F]{2})/.test(normal)) assert.equal(normalizePath(normal, mode), normal)
      }),
      { numRuns: 500 },
    )
  }
})
