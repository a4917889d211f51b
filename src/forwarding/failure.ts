/**
 * Every way in which forwarding can fail, and what the client, the access log and the metrics are told: one table.
 *
 * Source: Envoy `router.cc` and `http/utility.cc` (`resetReasonToString`), `stream_info.h` (response code details).
 */
import type { LocalReply } from '../exchange/local-reply.ts'
import type { FailureReason } from '../upstreams/failure-reason.ts'

export const CLUSTER_NOT_FOUND: LocalReply = { status: 503, flag: 'NC', details: 'cluster_not_found' }

export const NO_HEALTHY_UPSTREAM: LocalReply = {
  status: 503,
  body: 'no healthy upstream',
  flag: 'UH',
  details: 'no_healthy_upstream',
}

/** The cluster's limits are reached; see circuit-breaker.ts. */
export const OVERFLOW: LocalReply = {
  status: 503,
  body: 'upstream connect error or disconnect/reset before headers. reset reason: overflow',
  headers: ['x-envoy-overloaded', 'true'],
  flag: 'UO',
  details: 'upstream_reset_before_response_started{overflow}',
}

export const REQUEST_TIMEOUT: LocalReply = {
  status: 504,
  body: 'upstream request timeout',
  flag: 'UT',
  details: 'response_timeout',
}

export const PER_TRY_TIMEOUT: LocalReply = { ...REQUEST_TIMEOUT, details: 'upstream_per_try_timeout' }

interface ResetRow {
  readonly status: number
  readonly flag: string
  /** In Envoy's words; blanks become `_` in the details. */
  readonly text: string
}

const RESETS: Readonly<Record<FailureReason, ResetRow>> = {
  'remote-connection-failure': { status: 503, flag: 'UF', text: 'remote connection failure' },
  'local-connection-failure': { status: 503, flag: 'UF', text: 'local connection failure' },
  'connection-timeout': { status: 503, flag: 'UF', text: 'connection timeout' },
  'connection-termination': { status: 503, flag: 'UC', text: 'connection termination' },
  'remote-reset': { status: 503, flag: 'UR', text: 'remote reset' },
  'remote-refused-stream-reset': { status: 503, flag: 'UR', text: 'remote refused stream reset' },
  'local-reset': { status: 503, flag: 'LR', text: 'local reset' },
  'protocol-error': { status: 502, flag: 'UPE', text: 'protocol error' },
}

/**
 * The answer to a request whose last try was reset before response headers came.
 *
 * @param detail The transport's own reason, or empty.
 * @param retried Whether there was another try before.
 */
export function resetReply(reason: FailureReason, detail: string, retried: boolean): LocalReply {
  const { status, flag, text } = RESETS[reason]
  const when = retried ? 'retried and the latest reset reason' : 'reset reason'
  const transport = detail === '' ? '' : `, transport failure reason: ${detail}`
  return {
    status,
    flag,
    body: `upstream connect error or disconnect/reset before headers. ${when}: ${text}${transport}`,
    details: resetDetails('before', reason, detail),
  }
}

export function resetFlag(reason: FailureReason): string {
  return RESETS[reason].flag
}

/** Response code details of a reset before or after the response had started. */
export function resetDetails(when: 'before' | 'after', reason: FailureReason, detail: string): string {
  const inner = detail === '' ? RESETS[reason].text : `${RESETS[reason].text},${detail}`
  return `upstream_reset_${when}_response_started{${inner.replaceAll(' ', '_')}}`
}
