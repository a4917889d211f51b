import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileRetry } from '../../../src/forwarding/retry.ts'
import type { RetryPolicy } from '../../../src/plan/route.ts'

const policy = (conditions: string[], statusCodes: number[] = []): RetryPolicy => ({
  attempts: 2,
  conditions,
  statusCodes,
  perTryTimeoutMs: null,
  backoffBaseMs: 25,
  backoffMaxMs: 250,
  avoidPreviousHosts: true,
})
const head = (status: number, headers: string[] = []) => ({
  status,
  headers,
  empty: true,
})

const statuses: Record<string, { conditions: string[]; codes?: number[]; again: number[]; not: number[] }> = {
  '5xx means every 5xx': { conditions: ['5xx'], again: [500, 503, 599], not: [200, 404, 499] },
  'gateway-error means 502, 503 and 504': {
    conditions: ['gateway-error'],
    again: [502, 503, 504],
    not: [500, 501, 505],
  },
  'retriable-4xx means 409': { conditions: ['retriable-4xx'], again: [409], not: [400, 404, 429] },
  'status codes are those listed': { conditions: ['retriable-status-codes'], codes: [429], again: [429], not: [503] },
  'a list of codes without its condition is nothing': {
    conditions: ['reset'],
    codes: [429],
    again: [],
    not: [429, 503],
  },
  'the default policy retries no status': {
    conditions: ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', 'retriable-status-codes'],
    again: [],
    not: [500, 502, 503, 504, 429],
  },
}

for (const [name, { conditions, codes, again, not }] of Object.entries(statuses)) {
  test(`compileRetry: ${name}`, () => {
    const retry = compileRetry(policy(conditions, codes), Math.random)
    for (const status of again) assert.equal(retry.onResponse(head(status)), true, String(status))
    for (const status of not) assert.equal(retry.onResponse(head(status)), false, String(status))
  })
}

test('compileRetry: gRPC conditions look at grpc-status in the headers', () => {
  const retry = compileRetry(policy(['unavailable', 'cancelled']), Math.random)
  assert.equal(retry.onResponse(head(200, ['grpc-status', '14'])), true)
  assert.equal(retry.onResponse(head(200, ['grpc-status', '1'])), true)
  assert.equal(retry.onResponse(head(200, ['grpc-status', '5'])), false)
  assert.equal(retry.onResponse(head(200)), false)
})

test('compileRetry: a rate-limited answer is retried only where the policy says envoy-ratelimited', () => {
  const limited = head(503, ['x-envoy-ratelimited', 'true'])
  assert.equal(compileRetry(policy(['5xx']), Math.random).onResponse(limited), false)
  assert.equal(compileRetry(policy(['5xx', 'envoy-ratelimited']), Math.random).onResponse(limited), true)
})

const resets: Record<string, { conditions: string[]; connect: boolean; reset: boolean; timeout: boolean }> = {
  'connect-failure is about connecting only': {
    conditions: ['connect-failure'],
    connect: true,
    reset: false,
    timeout: false,
  },
  'reset is every way to get no answer': { conditions: ['reset'], connect: true, reset: true, timeout: true },
  '5xx is about missing answers too': { conditions: ['5xx'], connect: true, reset: true, timeout: true },
  'gateway-error is about missing answers too': {
    conditions: ['gateway-error'],
    connect: true,
    reset: true,
    timeout: true,
  },
  'reset-before-request needs that nothing was sent': {
    conditions: ['reset-before-request'],
    connect: true,
    reset: false,
    timeout: false,
  },
  'a list of statuses says nothing about missing answers': {
    conditions: ['retriable-status-codes'],
    connect: false,
    reset: false,
    timeout: false,
  },
}

for (const [name, { conditions, connect, reset, timeout }] of Object.entries(resets)) {
  test(`compileRetry: ${name}`, () => {
    const retry = compileRetry(policy(conditions), Math.random)
    assert.equal(retry.onReset('remote-connection-failure'), connect)
    assert.equal(retry.onReset('connection-timeout'), connect)
    assert.equal(retry.onReset('connection-termination'), reset)
    assert.equal(retry.onReset('per-try-timeout'), timeout)
  })
}

test('compileRetry: the wait grows with the tries and has an end', () => {
  const longest = compileRetry(policy(['5xx']), () => 0.999999)
  assert.deepEqual(
    [1, 2, 3, 4, 10].map((n) => Math.round(longest.backoffMs(n))),
    [25, 75, 175, 250, 250],
  )
  assert.equal(compileRetry(policy(['5xx']), () => 0).backoffMs(5), 0)
})
