// Does everything in the sample configuration work? A few requests of every kind, every answer checked.
// Against `sluice demo`: k6 run smoke.js
import { check } from 'k6'
import http from 'k6/http'
import { BASE, bodyOf, params } from './target.js'

export const options = {
  vus: 2,
  duration: __ENV.DURATION || '5s',
  thresholds: {
    checks: ['rate==1'],
    'http_req_duration{kind:plain}': ['p(95)<250'],
  },
}

/** What is sent, and what has to come back. */
const CASES = [
  { name: 'orders', path: '/orders', status: 200, says: (body) => body.service === 'orders' },
  {
    name: 'the canary header',
    path: '/orders',
    headers: { 'x-canary': 'always' },
    status: 200,
    says: (body) => body.version === 'v2',
  },
  { name: 'retries hide a broken endpoint', path: '/stock', status: 200, says: (body) => body.service === 'stock' },
  { name: 'a redirect', path: '/old/orders', status: 301, location: '/orders' },
  { name: 'a fault on request', path: '/orders', headers: { 'x-demo-fault': 'abort' }, status: 503 },
  { name: 'no route', path: '/nowhere', status: 404 },
]

export default function () {
  for (const { name, path, headers, status, says, location } of CASES) {
    const tags = { kind: 'plain', name }
    const expected = http.expectedStatuses(status)
    const answer = http.get(`${BASE}${path}`, params(headers, { tags, responseCallback: expected }))
    check(answer, { [`${name}: ${status}`]: ({ status: given }) => given === status })
    if (says !== undefined) check(answer, { [`${name}: body`]: (given) => says(bodyOf(given)) })
    if (location !== undefined) {
      check(answer, { [`${name}: location`]: (given) => (given.headers.Location || '').endsWith(location) })
    }
  }
  // Once a run: it takes as long as the route's timeout.
  if (__VU === 1 && __ITER === 0) {
    const expected = http.expectedStatuses(504)
    const slow = http.get(`${BASE}/reports`, params({}, { tags: { kind: 'slow' }, responseCallback: expected }))
    check(slow, { 'a slow upstream: 504': ({ status }) => status === 504 })
  }
}
