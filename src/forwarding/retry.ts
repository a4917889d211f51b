/**
 * When a try is made again. Compiled from the plan's policy into a few tests of numbers.
 *
 * Source: Envoy `retry_state_impl.cc`; semantics §2.10.
 */
import { hasHeader, headerValue } from '../exchange/headers.ts'
import type { ClusterPlan } from '../plan/cluster.ts'
import type { RetryPolicy } from '../plan/route.ts'
import type { FailureReason } from '../upstreams/failure-reason.ts'
import type { ResponseHead } from '../upstreams/stream.ts'

/** gRPC statuses by the names that `retry_on` has for them. */
const GRPC_CONDITIONS: Readonly<Record<string, string>> = {
  cancelled: '1',
  'deadline-exceeded': '4',
  internal: '13',
  'resource-exhausted': '8',
  unavailable: '14',
}

export interface CompiledRetry {
  readonly attempts: number
  readonly perTryTimeoutMs: number | null
  /** Whether other endpoints are preferred to those that were tried. With consistent hashing only if the rule says so. */
  avoidsPreviousHosts(cluster: Pick<ClusterPlan, 'consistentHash'>): boolean
  /** An answer that is better tried again. */
  onResponse(head: ResponseHead): boolean
  /** No answer came: the try was reset, or it ran into its timeout. */
  onReset(reason: FailureReason | 'per-try-timeout'): boolean
  /** Milliseconds to wait before try `n` + 1, for n from 1. */
  backoffMs(n: number): number
}

/** @param random Uniform in [0, 1). */
export function compileRetry(policy: RetryPolicy, random: () => number): CompiledRetry {
  const conditions = new Set(policy.conditions)
  const statusCodes = new Set(conditions.has('retriable-status-codes') ? policy.statusCodes : [])
  const any5xx = conditions.has('5xx')
  const gatewayError = conditions.has('gateway-error')
  const conflict = conditions.has('retriable-4xx')
  const rateLimited = conditions.has('envoy-ratelimited')
  const grpcStatuses = new Set(
    Object.entries(GRPC_CONDITIONS)
      .filter(([name]) => conditions.has(name))
      .map(([, status]) => status),
  )
  const anyReset = any5xx || gatewayError || conditions.has('reset')
  const connectFailure = anyReset || conditions.has('connect-failure')
  const refusedStream = conditions.has('refused-stream')
  const beforeRequest = conditions.has('reset-before-request')
  // Nearly all answers are successes, which few policies look at.
  const looksAtSuccess = grpcStatuses.size > 0 || [...statusCodes].some((status) => status < 400)
  const { backoffBaseMs, backoffMaxMs } = policy

  return {
    attempts: policy.attempts,
    perTryTimeoutMs: policy.perTryTimeoutMs,
    avoidsPreviousHosts: ({ consistentHash }) =>
      policy.avoidPreviousHosts && (consistentHash === undefined || policy.evenWhenHashed === true),
    onResponse({ status, headers }) {
      if (status < 400 && !looksAtSuccess) return false
      if (hasHeader(headers, 'x-envoy-ratelimited')) return rateLimited
      if (any5xx && status >= 500 && status <= 599) return true
      if (gatewayError && status >= 502 && status <= 504) return true
      if (conflict && status === 409) return true
      if (statusCodes.has(status)) return true
      return grpcStatuses.size > 0 && grpcStatuses.has(headerValue(headers, 'grpc-status') ?? '')
    },
    onReset(reason) {
      switch (reason) {
        case 'remote-connection-failure':
        case 'local-connection-failure':
        case 'connection-timeout':
          return connectFailure || beforeRequest
        case 'remote-refused-stream-reset':
          return anyReset || refusedStream
        case 'connection-termination':
        case 'remote-reset':
        case 'local-reset':
        case 'protocol-error':
        case 'per-try-timeout':
          return anyReset
        default:
          return reason satisfies never
      }
    },
    backoffMs(n) {
      return Math.min(backoffMaxMs, random() * (2 ** n - 1) * backoffBaseMs)
    },
  }
}
