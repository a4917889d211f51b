// Are requests split as the weights say? The sample sends one of ten to v2; -e SHARE=0.5 after changing the weights.
//   k6 run canary.js
import { check } from 'k6'
import http from 'k6/http'
import { Rate } from 'k6/metrics'
import { BASE, bodyOf, number, params } from './target.js'

const SHARE = number('SHARE', 0.1)
const REQUESTS = number('REQUESTS', 4000)

// Five standard deviations: a split that is right fails once in a million runs.
const MARGIN = 5 * Math.sqrt((SHARE * (1 - SHARE)) / REQUESTS)

const toCanary = new Rate('to_canary')

export const options = {
  scenarios: { split: { executor: 'shared-iterations', vus: 10, iterations: REQUESTS, maxDuration: '2m' } },
  thresholds: {
    checks: ['rate==1'],
    to_canary: [`rate>=${(SHARE - MARGIN).toFixed(4)}`, `rate<=${(SHARE + MARGIN).toFixed(4)}`],
  },
}

export default function () {
  const answer = http.get(`${BASE}/orders`, params())
  const { version } = bodyOf(answer)
  check(answer, { 'one of the two versions': () => version === 'v1' || version === 'v2' })
  toCanary.add(version === 'v2')
}
