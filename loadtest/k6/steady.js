// The same rate for a while, whatever the answers take: latency at a rate that the gateway should hold easily.
//   k6 run -e RATE=500 -e DURATION=1m steady.js
import { check } from 'k6'
import http from 'k6/http'
import { BASE, PATH, number, params } from './target.js'

export const options = {
  scenarios: {
    steady: {
      executor: 'constant-arrival-rate',
      rate: number('RATE', 200),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: number('VUS', 50),
    },
  },
  thresholds: {
    checks: ['rate==1'],
    // Requests that k6 could not send in time would be missing from the latencies below.
    dropped_iterations: ['count==0'],
    http_req_duration: [`p(99)<${number('P99_MS', 100)}`],
  },
}

export default function () {
  const answer = http.get(`${BASE}${PATH}`, params())
  check(answer, { 'status is 200': ({ status }) => status === 200 })
}
