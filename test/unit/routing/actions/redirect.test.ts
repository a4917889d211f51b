import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RedirectAction } from '../../../../src/plan/route.ts'
import { compileRedirect, redirectToHttps } from '../../../../src/routing/actions/redirect.ts'
import { makeExchange, type RequestFacts } from '../exchanges.ts'

interface Case {
  readonly action?: Partial<RedirectAction>
  readonly request?: RequestFacts
  readonly location: string
}

const cases: Record<string, Case> = {
  'a full path replaces the path and keeps the query': {
    action: { path: { kind: 'full', value: '/new' } },
    request: { path: '/old/x?a=b%20c' },
    location: 'http://example.com/new?a=b%20c',
  },
  'a full path with a query of its own drops that of the request': {
    action: { path: { kind: 'full', value: '/new?x=1' } },
    request: { path: '/old?a=b' },
    location: 'http://example.com/new?x=1',
  },
  'a prefix is replaced as text': {
    action: { path: { kind: 'prefix', length: 4, replacement: '/' } },
    request: { path: '/foo/bar?a' },
    location: 'http://example.com//bar?a',
  },
  'a path always begins with a slash': {
    action: { path: { kind: 'prefix', length: 5, replacement: '' } },
    request: { path: '/foo/bar' },
    location: 'http://example.com/bar',
  },
  'percent sequences are left as they came': {
    action: { authority: 'new.example' },
    request: { path: '/a%2fb%2F%zz//c?d=%e4' },
    location: 'http://new.example/a%2fb%2F%zz//c?d=%e4',
  },
  'without an authority that of the request is used, port included': {
    action: { path: { kind: 'full', value: '/' } },
    request: { authority: 'Example.com:8080' },
    location: 'http://Example.com:8080/',
  },
  "another scheme drops the old scheme's default port": {
    action: { scheme: 'https' },
    request: { authority: 'example.com:80', path: '/a' },
    location: 'https://example.com/a',
  },
  'and from https to http too': {
    action: { scheme: 'http' },
    request: { authority: '[::1]:443', scheme: 'https', path: '/a' },
    location: 'http://[::1]/a',
  },
  'another scheme keeps any other port': {
    action: { scheme: 'https' },
    request: { authority: 'example.com:8080', path: '/a' },
    location: 'https://example.com:8080/a',
  },
  'the same scheme keeps its default port': {
    action: { path: { kind: 'full', value: '/b' } },
    request: { authority: 'example.com:80' },
    location: 'http://example.com:80/b',
  },
  'a port replaces that of the request': {
    action: { port: 8443, scheme: 'https' },
    request: { authority: 'example.com:8080' },
    location: 'https://example.com:8443/',
  },
  'a port that the scheme implies is not written': {
    action: { port: 443, scheme: 'https' },
    request: { authority: 'example.com:8080' },
    location: 'https://example.com/',
  },
  'a port is compared with the scheme of the redirect': {
    action: { port: 443 },
    request: { authority: '[::1]' },
    location: 'http://[::1]:443/',
  },
  'an authority may have a port': {
    action: { authority: 'new.example:81' },
    location: 'http://new.example:81/',
  },
  'text of configuration cannot begin a header of its own': {
    action: { authority: 'a\r\nset-cookie: b', path: { kind: 'full', value: '/\u00e9 \u{1f600}' } },
    location: 'http://a%0D%0Aset-cookie:%20b/%C3%A9%20%F0%9F%98%80',
  },
  'neither can a request': {
    action: { scheme: 'https' },
    request: { authority: 'a\r\nb', path: '/\r\nc\u00e9' },
    location: 'https://a%0D%0Ab/%0D%0Ac\u00e9',
  },
}

for (const [name, { action, request, location }] of Object.entries(cases)) {
  test(`compileRedirect: ${name}`, () => {
    const redirect = compileRedirect({ kind: 'redirect', status: 301, ...action })
    assert.deepEqual(redirect(makeExchange(request)), {
      status: 301,
      headers: ['location', location],
      details: 'direct_response',
    })
  })
}

test('compileRedirect: the status is that of the rule', () => {
  const redirect = compileRedirect({ kind: 'redirect', status: 308, authority: 'new.example' })
  assert.equal(redirect(makeExchange()).status, 308)
})

const toHttps: Record<string, { request: RequestFacts; location: string }> = {
  'the path and the query stay': {
    request: { path: '/a%2Fb?c=d' },
    location: 'https://example.com/a%2Fb?c=d',
  },
  'port 80 is dropped': { request: { authority: 'example.com:80' }, location: 'https://example.com/' },
  'another port stays': { request: { authority: 'example.com:8080' }, location: 'https://example.com:8080/' },
}

for (const [name, { request, location }] of Object.entries(toHttps)) {
  test(`redirectToHttps: ${name}`, () => {
    assert.deepEqual(redirectToHttps(makeExchange({ ...request, method: 'POST' })), {
      status: 301,
      headers: ['location', location],
      details: 'direct_response',
    })
  })
}
