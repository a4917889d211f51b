import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseWrk } from '../../../loadtest/lib/wrk.ts'

const OUTPUT = `Running 5s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.34ms    1.09ms  25.71ms   95.34%
    Req/Sec    25.71k     2.43k   30.12k    72.00%
  Latency Distribution
     50%  812.00us
     75%    1.45ms
     90%    1.88ms
     99%    1.02s
  127943 requests in 5.00s, 147.64MB read
Requests/sec:  25585.11
Transfer/sec:     29.52MB
`

test('requests, rate and latency are read, latency in milliseconds', () => {
  assert.deepEqual(parseWrk(OUTPUT), {
    requests: 127943,
    requestsPerSecond: 25585.11,
    p50Ms: 0.812,
    p99Ms: 1020,
    errors: 0,
  })
})

test('socket errors of every kind and refused answers add up', () => {
  const errors = '  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 100\n'
  assert.equal(parseWrk(OUTPUT.replace('Requests/sec', `${errors}Requests/sec`)).errors, 110)
})

test('output without a result is an error that shows it', () => {
  assert.throws(() => parseWrk('unable to connect to 127.0.0.1:1'), /unable to connect/)
})
