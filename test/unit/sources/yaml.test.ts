import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLocator } from '../../../src/sources/files/locate.ts'
import { parseText, splitDocuments } from '../../../src/sources/files/yaml.ts'

const service = (name: string) =>
  `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  ports:\n  - port: 80\n`

function names(text: string): (string | undefined)[] {
  return parseText(text).documents.map(({ result }) => result.identity?.metadata.name)
}

test('documents are split before lines that begin with ---', () => {
  assert.deepEqual(splitDocuments('a: 1\n---\nb: 2\n--- # c\nc: 3\n---'), [
    'a: 1\n',
    '---\nb: 2\n',
    '--- # c\nc: 3\n',
    '---',
  ])
  assert.deepEqual(splitDocuments('a: |\n  ---\n----\n---x'), ['a: |\n  ---\n----\n---x'])
  assert.deepEqual(splitDocuments('a: 1\r\n---\r\nb: 2'), ['a: 1\r\n', '---\r\nb: 2'])
})

test('a text with directives or document ends is read as a whole', () => {
  assert.deepEqual(names(`%YAML 1.2\n---\n${service('a')}...\n---\n${service('b')}`), ['a', 'b'])
})

test('empty documents and comments are no objects', () => {
  for (const text of ['', '\n', '# a\n', '---\n', '---\n# a\n---\n', '\ufeff']) {
    const parsed = parseText(text)
    assert.deepEqual([parsed.documents, parsed.failures], [[], []], JSON.stringify(text))
  }
})

test('a byte order mark and Windows line ends do no harm', () => {
  assert.deepEqual(names(`\ufeff${service('a')}---\n${service('b')}`.replaceAll('\n', '\r\n')), ['a', 'b'])
})

test('JSON is read, with tabs too', () => {
  assert.deepEqual(names('{\n\t"apiVersion": "v1",\n\t"kind": "Service",\n\t"metadata": {"name": "a\\u0062"}\n}'), [
    'ab',
  ])
})

test('the items of a List are objects', () => {
  const items = ['a', 'b'].map((name) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name } }))
  for (const kind of ['List', 'ServiceList']) {
    const { documents } = parseText(JSON.stringify({ apiVersion: 'v1', kind, items }))
    assert.deepEqual(
      documents.map(({ pointer, result }) => [pointer, result.identity?.metadata.name]),
      [
        ['/items/0', 'a'],
        ['/items/1', 'b'],
      ],
    )
  }
})

test('a mistake in one document does not harm its neighbours', () => {
  const { documents, failures } = parseText(`${service('a')}---\na: [\nb: }\n---\n${service('c')}`)
  assert.deepEqual(
    documents.map(({ part }) => part),
    [0, 2],
  )
  assert.deepEqual(
    failures.map(({ part }) => part),
    [1],
  )
})

const mistakes: Record<string, { text: string; line: number; message: RegExp }> = {
  'a key twice': { text: 'a: 1\nb: 2\na: 3\n', line: 3, message: /duplicated mapping key/ },
  'a tab for indentation': { text: 'a:\n\tb: 1\n', line: 2, message: /tab.*indent with blanks/ },
  'an open bracket': { text: 'a: [1,\n', line: 2, message: /./ },
  'an unknown tag': { text: 'a: 1\nb: !!js/function x\n', line: 2, message: /unknown/ },
}

for (const [name, { text, line, message }] of Object.entries(mistakes)) {
  test(`a part that is no YAML names its line: ${name}`, () => {
    const [failure] = parseText(text).failures
    assert.equal(failure?.line, line)
    assert.match(failure?.message ?? '', message)
  })
}

test('aliases and merge keys are followed', () => {
  const text = `apiVersion: v1\nkind: Service\nmetadata: &m {name: a}\nspec:\n  selector: {<<: *m, app: b}\n`
  const { resource } = parseText(text).documents[0]?.result ?? {}
  assert.deepEqual(resource?.spec, { selector: { name: 'a', app: 'b' } })
})

test('a text that stands for a huge value is refused', () => {
  let text = 'a0: &a0 [x, x, x, x, x, x, x, x, x]\n'
  for (let level = 1; level < 20; level++) text += `a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}]\n`
  const startedAt = performance.now()
  assert.match(parseText(text).failures[0]?.message ?? '', /aliases/)
  assert.ok(performance.now() - startedAt < 2000)
})

test('a value within itself is refused', () => {
  assert.equal(parseText('a: &a [*a]\n').failures.length, 1)
})

test('a text nested too deeply is refused', () => {
  assert.equal(parseText(`a: ${'['.repeat(5000)}${']'.repeat(5000)}`).failures.length, 1)
})

test('a part that did not change is not read again', () => {
  const before = parseText(`${service('a')}---\n${service('b')}---\n${service('c')}`)
  const after = parseText(`${service('a')}---\n${service('x')}---\n${service('c')}`, before.cache)
  assert.equal(after.documents[0]?.result, before.documents[0]?.result)
  assert.notEqual(after.documents[1]?.result, before.documents[1]?.result)
  assert.equal(after.documents[2]?.result, before.documents[2]?.result)
  assert.equal(after.cache.size, 3)
})

test('no text makes it throw, nor finding lines in it', () => {
  const piece = fc.constantFrom(
    '---\n',
    '...\n',
    '%YAML 1.2\n',
    'a: ',
    '- ',
    '&a ',
    '*a',
    '[',
    '{',
    '}',
    ']',
    '"',
    "'",
    '\n',
    '  ',
    '\t',
    '|\n',
    '#',
    '!!x ',
    '<<: ',
    '? ',
    ': ',
    'kind: Service\n',
    'apiVersion: v1\n',
    'metadata: {name: a}\n',
    '__proto__: {a: 1}\n',
    '\0',
    '\ufeff',
    '😀',
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
  )
  fc.assert(
    fc.property(text, (source) => {
      const { documents, failures, parts } = parseText(source)
      const locator = createLocator(parts)
      const lines = source.split('\n').length
      for (const document of documents) {
        const line = locator.locate(document, '/spec/hosts/0')
        assert.ok(line >= 1 && line <= lines)
      }
      for (const { part, line } of failures) assert.ok(locator.startOf(part) + line - 1 <= lines + 1)
    }),
    { numRuns: 1000 },
  )
})

const text = `# comment
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: a
spec:
  hosts: [a.com]
  http:
  - match:
    - headers: {x/y: {exact: b}}
    route:
    - destination:
        host: reviews
`

const lines: [pointer: string, line: number][] = [
  ['', 2],
  ['/spec', 6],
  ['/spec/hosts', 7],
  ['/spec/hosts/0', 7],
  ['/spec/http/0', 9],
  ['/spec/http/0/match/0/headers/x~1y', 10],
  ['/spec/http/0/route/0/destination/host', 13],
  ['/spec/http/0/route/0/destination/subset', 12],
  ['/spec/http/0/timeout', 9],
  ['/spec/tcp/0/route', 6],
]

for (const [pointer, line] of lines) {
  test(`the line of "${pointer}", or of its nearest parent, is found`, () => {
    for (const [before, added] of [
      ['', 0],
      [`${service('b')}---\n`, 8],
    ] as const) {
      const { documents, parts } = parseText(before + text)
      const document = documents.at(-1)
      assert.ok(document)
      assert.equal(createLocator(parts).locate(document, pointer), line + added)
    }
  })
}

test('the line in an item of a List is found', () => {
  const { documents, parts } = parseText(
    `kind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec:\n    ports: 5\n`,
  )
  const [document] = documents
  assert.ok(document)
  assert.equal(createLocator(parts).locate(document, '/spec/ports'), 7)
})
