import assert from 'node:assert/strict'
import { test } from 'node:test'
import { literalPrefix } from '../../../src/routing/literal-prefix.ts'

const cases: Record<string, readonly [regex: string, beginning: string][]> = {
  'plain text is certain': [
    ['/api/users', '/api/users'],
    ['^/api$', '/api'],
  ],
  'it ends at the first thing that is not text': [
    ['/api/.*', '/api/'],
    ['/api/[^/]+/x', '/api/'],
    ['/a(b|c)', '/a'],
    ['/a\\d', '/a'],
    ['/a b', '/a'],
  ],
  'escaped signs are text': [['/a\\.b\\/c\\*', '/a.b/c*']],
  'what may be left out is not certain': [
    ['/ab?', '/a'],
    ['/ab*c', '/a'],
    ['/ab{0,2}', '/a'],
    ['/a\\.?b', '/a'],
  ],
  'one repetition is certain, what follows is not': [['/ab+c', '/ab']],
  'alternatives at the top have none': [
    ['/a|/b', ''],
    ['/a\\|b', '/a|b'],
    ['/a(/b|c)|d', ''],
    ['/a[|]b', '/a'],
    ['/a[]|]b', '/a'],
    ['/a[^]|]b', '/a'],
  ],
  'flags and unusual syntax have none': [
    ['(?i)/a', ''],
    ['(?i:/a)', ''],
    ['\\Q/a|b\\E', ''],
    ['/a[[:alpha:]|]|b', ''],
    ['', ''],
    ['.*', ''],
    ['/a(', ''],
  ],
}

for (const [name, pairs] of Object.entries(cases)) {
  test(`literalPrefix: ${name}`, () => {
    for (const [regex, beginning] of pairs) assert.equal(literalPrefix(regex), beginning, regex)
  })
}
