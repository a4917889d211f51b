import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedResponse, parseResponseHead } from '../../../src/upstreams/http1/response-head.ts'

const head = (...lines: string[]) => lines.join('\r\n')

const framings: Record<string, { text: string; method?: string; framing: unknown; keepAlive: boolean }> = {
  'a length is the length of the body': {
    text: head('HTTP/1.1 200 OK', 'Content-Length: 12'),
    framing: { kind: 'length', length: 12 },
    keepAlive: true,
  },
  'chunked is read in any case': {
    text: head('HTTP/1.1 200 OK', 'Transfer-Encoding: Chunked'),
    framing: { kind: 'chunked' },
    keepAlive: true,
  },
  'without either the body ends with the connection': {
    text: head('HTTP/1.1 200 OK', 'X-A: b'),
    framing: { kind: 'until-close' },
    keepAlive: false,
  },
  'an answer to HEAD has no body whatever it says': {
    text: head('HTTP/1.1 200 OK', 'Content-Length: 12'),
    method: 'HEAD',
    framing: { kind: 'none' },
    keepAlive: true,
  },
  '204 has no body': { text: head('HTTP/1.1 204 No Content'), framing: { kind: 'none' }, keepAlive: true },
  '304 has no body': {
    text: head('HTTP/1.1 304 Not Modified', 'Content-Length: 7'),
    framing: { kind: 'none' },
    keepAlive: true,
  },
  'connection: close is heard in any case': {
    text: head('HTTP/1.1 200 OK', 'Content-Length: 1', 'Connection: Close'),
    framing: { kind: 'length', length: 1 },
    keepAlive: false,
  },
  'HTTP/1.0 closes unless it says keep-alive': {
    text: head('HTTP/1.0 200 OK', 'Content-Length: 1'),
    framing: { kind: 'length', length: 1 },
    keepAlive: false,
  },
  'HTTP/1.0 with keep-alive is kept': {
    text: head('HTTP/1.0 200 OK', 'Content-Length: 1', 'Connection: keep-alive'),
    framing: { kind: 'length', length: 1 },
    keepAlive: true,
  },
  'a reason phrase may be missing': { text: 'HTTP/1.1 204', framing: { kind: 'none' }, keepAlive: true },
}

for (const [name, { text, method, framing, keepAlive }] of Object.entries(framings)) {
  test(`parseResponseHead: ${name}`, () => {
    const parsed = parseResponseHead(text, method ?? 'GET')
    assert.deepEqual(parsed.framing, framing)
    assert.equal(parsed.keepAlive, keepAlive)
  })
}

test('parseResponseHead: names come in lower case, values without outer blanks, repeated lines stay apart', () => {
  const { headers } = parseResponseHead(
    head('HTTP/1.1 200 OK', 'Set-Cookie: a=1', 'SET-COOKIE:  b=2\t', 'X-Empty:'),
    'GET',
  )
  assert.deepEqual(headers, ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'x-empty', ''])
})

test('parseResponseHead: the time that an upstream keeps idle connections is read', () => {
  const { keepAliveSeconds } = parseResponseHead(head('HTTP/1.1 204 x', 'Keep-Alive: timeout=5, max=100'), 'GET')
  assert.equal(keepAliveSeconds, 5)
})

const refused: Record<string, string> = {
  'both framings': head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Transfer-Encoding: chunked'),
  'two lengths': head('HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 5'),
  'a list of lengths': head('HTTP/1.1 200 OK', 'Content-Length: 5, 5'),
  'a signed length': head('HTTP/1.1 200 OK', 'Content-Length: +5'),
  'a length beyond all numbers': head('HTTP/1.1 200 OK', 'Content-Length: 99999999999999999999'),
  'a coding beside chunked': head('HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked'),
  'chunked twice': head('HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
  'chunked in HTTP/1.0': head('HTTP/1.0 200 OK', 'Transfer-Encoding: chunked'),
  'a blank before the colon': head('HTTP/1.1 200 OK', 'Content-Length : 5'),
  'a folded line': head('HTTP/1.1 200 OK', 'X-A: b', ' folded: yes'),
  'a line without a colon': head('HTTP/1.1 200 OK', 'nonsense'),
  'an empty name': head('HTTP/1.1 200 OK', ': x'),
  'NUL in a value': head('HTTP/1.1 200 OK', 'X-A: a\0b'),
  'a bare CR': head('HTTP/1.1 200 OK', 'X-A: a\rX-B: c'),
  'a bare LF': head('HTTP/1.1 200 OK', 'X-A: a\nX-B: c'),
  'another protocol': 'SSH-2.0-OpenSSH_9.6',
  'another version': 'HTTP/2.0 200 OK',
  'a status of two digits': 'HTTP/1.1 20 OK',
  'more than 200 headers': head('HTTP/1.1 200 OK', ...Array.from({ length: 201 }, (_, i) => `x-${i}: 1`)),
}

for (const [name, text] of Object.entries(refused)) {
  test(`parseResponseHead refuses ${name}`, () => {
    assert.throws(() => parseResponseHead(text, 'GET'), MalformedResponse)
  })
}
