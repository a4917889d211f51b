import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { compileLinearRegex } from '../../../src/lib/linear-regex.ts'

function compile(pattern: string) {
  const compiled = compileLinearRegex(pattern)
  assert.ok(compiled.ok, pattern)
  return compiled
}

const matches: Record<string, { pattern: string; takes: string[]; refuses: string[] }> = {
  'the whole text has to match': { pattern: '/api', takes: ['/api'], refuses: ['/api/', 'x/api', ''] },
  'anchors change nothing': { pattern: '^/api$', takes: ['/api'], refuses: ['/api/'] },
  '.* is anything, and nothing': { pattern: '/a/.*', takes: ['/a/', '/a/b/c'], refuses: ['/a', '/b/a/'] },
  '.+ is at least one character': { pattern: '/a/.+', takes: ['/a/b'], refuses: ['/a/'] },
  'a suffix': { pattern: '.*\\.png', takes: ['.png', 'a.png'], refuses: ['a_png', 'a.png.gz'] },
  'text on both sides does not overlap': { pattern: 'ab.*ba', takes: ['abba', 'abxba'], refuses: ['aba'] },
  'a dot does not match a line feed': { pattern: 'a.*', takes: ['a\r', 'a\u2028'], refuses: ['a\n', 'a\nb'] },
  'escaped punctuation is itself': { pattern: '/a\\.b\\*', takes: ['/a.b*'], refuses: ['/axb*'] },
  'an escaped dollar is no anchor': { pattern: 'a\\$', takes: ['a$'], refuses: ['a', 'a\\'] },
  'alternatives are left to the engine': { pattern: 'a|ab', takes: ['a', 'ab'], refuses: ['b'] },
  'flags are left to the engine': { pattern: '(?i)abc', takes: ['ABC'], refuses: ['abd'] },
  'a lazy star is a star': { pattern: 'a.*?b', takes: ['ab', 'axxb'], refuses: ['a'] },
  'characters outside the BMP are one character': { pattern: 'a.b', takes: ['a😀b'], refuses: ['ab'] },
}

for (const [name, { pattern, takes, refuses }] of Object.entries(matches)) {
  test(`compileLinearRegex: ${name}`, () => {
    const regex = compile(pattern)
    for (const text of takes) assert.equal(regex.matches(text), true, JSON.stringify(text))
    for (const text of refuses) assert.equal(regex.matches(text), false, JSON.stringify(text))
  })
}

const refused: Record<string, string> = {
  'an empty pattern': '',
  'a star without anything before it': '*',
  'a look-ahead': '(?=a)',
  'a back reference': '(a)\\1',
  'more than 1024 characters': 'a'.repeat(1025),
  'an open group': '(a',
}

for (const [name, pattern] of Object.entries(refused)) {
  test(`compileLinearRegex refuses ${name}`, () => {
    const compiled = compileLinearRegex(pattern)
    assert.equal(compiled.ok, false)
  })
}

const replacements: [pattern: string, text: string, substitution: string, result: string][] = [
  ['a', 'banana', 'o', 'bonono'],
  ['^/api/(v[0-9])/(.*)$', '/api/v1/users', '/\\2/\\1', '/users/v1'],
  ['^/api', '/api/api', '', '/api'],
  ['.*', 'abc', 'x', 'x'],
  ['b*', 'abc', '-', '-a-c-'],
  ['a', 'aa', '[\\0]', '[a][a]'],
  ['a', 'a', '\\\\', '\\'],
  ['(a)|b', 'b', '<\\1>', '<>'],
  ['x', 'abc', 'y', 'abc'],
]

for (const [pattern, text, substitution, result] of replacements) {
  test(`replaceAll: ${pattern} in ${text} by ${substitution} gives ${result}`, () => {
    assert.equal(compile(pattern).replaceAll(text, substitution), result)
  })
}

test('the fast paths agree with the engine', () => {
  const piece = fc.constantFrom('a', 'b', '/', '.', '.*', '.+', '\\.', '\\/', '^', '$', '\\$', '?', '-', '\\-', '\n')
  const pattern = fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join(''))
  const text = fc
    .array(fc.constantFrom('a', 'b', '/', '.', '$', '-', '\n', '\r', '\\', '😀'), { maxLength: 8 })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(pattern, fc.array(text, { maxLength: 5 }), (source, texts) => {
      const compiled = compileLinearRegex(source)
      let engine: RE2JS | undefined
      try {
        engine = RE2JS.compile(source)
      } catch {
        assert.equal(compiled.ok, false, source)
      }
      if (engine === undefined || !compiled.ok) return assert.equal(compiled.ok, engine !== undefined)
      for (const value of texts)
        assert.equal(compiled.matches(value), engine.testExact(value), `${source} ${JSON.stringify(value)}`)
    }),
    { numRuns: 1000 },
  )
})

test('a pattern that makes other engines backtrack for ever is quick', () => {
  const startedAt = performance.now()
  assert.equal(compile('(a+)+$').matches(`${'a'.repeat(5000)}!`), false)
  assert.equal(compile('(.*a){20}').matches('a'.repeat(2000)), true)
  assert.ok(performance.now() - startedAt < 2000)
})
