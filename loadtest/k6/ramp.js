// More and more requests until the gateway, or k6 beside it, is busy; then down again. Where latency bends is the
// capacity of this machine; what has to hold at any rate is that no request fails.
//   k6 run -e MAX_RATE=5000 ramp.js
import { check } from 'k6'
import http from 'k6/http'
import { BASE, PATH, number, params } from './target.js'

const MAX_RATE = number('MAX_RATE', 1000)
const STEP = __ENV.STEP || '10s'

export const options = {
  scenarios: {
    ramp: {
      executor: 'ramping-arrival-rate',
      startRate: 10,
      timeUnit: '1s',
      preAllocatedVUs: number('VUS', 200),
      stages: [
        ...[0.25, 0.5, 0.75, 1].map((share) => ({ target: Math.ceil(MAX_RATE * share), duration: STEP })),
        { target: MAX_RATE, duration: STEP },
        { target: 10, duration: STEP },
      ],
    },
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_duration: ['p(99)<1000'],
  },
}

export default function () {
  const answer = http.get(`${BASE}${PATH}`, params())
  check(answer, { 'status is 200': ({ status }) => status === 200 })
}
