// Is as much admitted as the limit says, whatever is asked for? Serve rate-limit.yaml beside this file on as many gateways
// as you like, each with the same Redis and, where k6 runs on the same machine, with SLUICE_REDIS_TIMEOUT=1s (what Redis
// does not answer in time is refused with 500 there, and fails the check). Then:
//   k6 run -e BASE_URLS=http://127.0.0.1:8080,http://127.0.0.1:8081 loadtest/rate-limit/admitted.js
import { check } from 'k6'
import http from 'k6/http'
import { Counter, Rate } from 'k6/metrics'

const GATEWAYS = (__ENV.BASE_URLS || 'http://127.0.0.1:8080').split(',')
/** The limit of the policy: LIMIT requests within each WINDOW seconds. */
const LIMIT = Number(__ENV.LIMIT || 100)
const WINDOW = Number(__ENV.WINDOW || 1)
const SECONDS = Number(__ENV.SECONDS || 10)
const TIMES = Number(__ENV.TIMES || 10)

const admitted = new Counter('admitted')
const explained = new Rate('refusals_explained')
/** Windows begin with a first request, so one more than fits may have begun, and the last one may not be full. */
const windows = Math.ceil(SECONDS / WINDOW)

export const options = {
  scenarios: {
    flood: {
      executor: 'constant-arrival-rate',
      rate: Math.ceil((LIMIT * TIMES) / WINDOW),
      timeUnit: '1s',
      duration: `${SECONDS}s`,
      preAllocatedVUs: Number(__ENV.VUS || 100),
    },
  },
  thresholds: {
    admitted: [`count<=${LIMIT * (windows + 1)}`, `count>=${Math.floor(0.99 * LIMIT * (windows - 1))}`],
    refusals_explained: ['rate==1'],
    checks: ['rate==1'],
    'http_req_duration{expected_response:true}': [`p(99)<${Number(__ENV.P99_MS || 500)}`],
  },
}

// What is refused is expected here, and is not counted as a failed request.
http.setResponseCallback(http.expectedStatuses(200, 429))

export default function () {
  const gateway = GATEWAYS[__ITER % GATEWAYS.length]
  const answer = http.get(`${gateway}/limited`, { headers: { Host: 'limited.test' } })
  check(answer, { 'status is 200 or 429': ({ status }) => status === 200 || status === 429 })
  if (answer.status === 200) admitted.add(1)
  if (answer.status === 429) {
    const { headers } = answer
    explained.add(Number(headers['Retry-After']) >= 1 && headers['X-Envoy-Ratelimited'] === 'true')
  }
}
