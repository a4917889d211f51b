/**
 * Retry policies.
 *
 * Source: istio: pilot/pkg/networking/core/route/retry/retry.go; envoy: docs, router filter, `x-envoy-retry-on`.
 */
import { durationMs } from '../../lib/duration.ts'
import type { RetryPolicy } from '../../plan/route.ts'
import type { HTTPRetry } from '../../resources/virtual-service.ts'

const STATUS_CODES = 'retriable-status-codes'
const DEFAULT_CONDITIONS = ['connect-failure', 'refused-stream', 'unavailable', 'cancelled', STATUS_CODES]
const DEFAULT_ATTEMPTS = 2
/** Envoy's base interval; the longest wait is ten times the base. */
const DEFAULT_BACKOFF_MS = 25
const MAX_BACKOFFS = 10

const DEFAULT_POLICY: RetryPolicy = {
  attempts: DEFAULT_ATTEMPTS,
  conditions: DEFAULT_CONDITIONS,
  statusCodes: [],
  perTryTimeoutMs: null,
  backoffBaseMs: DEFAULT_BACKOFF_MS,
  backoffMaxMs: DEFAULT_BACKOFF_MS * MAX_BACKOFFS,
  avoidPreviousHosts: true,
}

/**
 * @param spec The rule's `retries`, or the mesh's default where it has none.
 * @returns Null where retries are off: a block that allows no attempt.
 */
export function compileRetries(spec: HTTPRetry | undefined): RetryPolicy | null {
  if (spec === undefined) return DEFAULT_POLICY
  const attempts = spec.attempts ?? 0
  if (attempts <= 0) return null
  const perTryTimeoutMs = spec.perTryTimeout === undefined ? 0 : durationMs(spec.perTryTimeout)
  const backoffBaseMs = (spec.backoff === undefined ? 0 : durationMs(spec.backoff)) || DEFAULT_BACKOFF_MS
  return {
    attempts,
    ...retryOn(spec.retryOn),
    perTryTimeoutMs: perTryTimeoutMs > 0 ? perTryTimeoutMs : null,
    backoffBaseMs,
    backoffMaxMs: backoffBaseMs * MAX_BACKOFFS,
    avoidPreviousHosts: spec.retryIgnorePreviousHosts ?? true,
    ...(spec.retryIgnorePreviousHosts === true ? { evenWhenHashed: true } : {}),
  }
}

/** Numbers among the conditions are status codes, and turn on the condition that looks at them. */
function retryOn(text: string | undefined): Pick<RetryPolicy, 'conditions' | 'statusCodes'> {
  const words = (text ?? '')
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '')
  if (words.length === 0) return { conditions: DEFAULT_CONDITIONS, statusCodes: [] }
  const isNumber = (word: string) => /^[0-9]+$/.test(word)
  const statusCodes = words.filter(isNumber).map(Number)
  const named = words.filter((word) => !isNumber(word))
  const conditions = statusCodes.length === 0 || named.includes(STATUS_CODES) ? named : [...named, STATUS_CODES]
  return { conditions, statusCodes }
}
