/** What Istio refuses in retries, fault, mirrors and corsPolicy of an http route. */
import { STATUS_CODES } from 'node:http'
import { parseDuration } from '../lib/duration.ts'
import { GRPC_STATUS_NAMES } from '../lib/grpc-status-names.ts'
import type { Findings } from './findings.ts'
import { checkDestination, checkStringMatch } from './route-rules.ts'
import { checkDuration, checkHeaderName, checkPercentage, shorten } from './rules.ts'
import type { CorsPolicy, HTTPFaultInjection, HTTPRetry, HTTPRoute } from './virtual-service.ts'

/** envoy: `x-envoy-retry-on` and `x-envoy-retry-grpc-on`, as far as Istio's validation knows them. */
export const RETRY_CONDITIONS: readonly string[] = [
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'envoy-ratelimited',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]

export function checkRetries(findings: Findings, at: string, retries: HTTPRetry | undefined): void {
  if (retries === undefined) return
  const code = 'virtual-service/retries'
  const { attempts = 0 } = retries
  if (attempts < 0) findings.error(code, `${at}/attempts`, `attempts is 0 or more, found ${attempts}`)
  if (attempts === 0) {
    for (const field of ['perTryTimeout', 'retryOn', 'retryRemoteLocalities'] as const) {
      if (retries[field] !== undefined && retries[field] !== '' && retries[field] !== false) {
        findings.error(code, `${at}/${field}`, `with attempts 0 nothing is retried, so ${field} has no place`, {
          remedy: 'Set attempts.',
        })
      }
    }
  }
  checkDuration(findings, code, `${at}/perTryTimeout`, retries.perTryTimeout)
  checkDuration(findings, code, `${at}/backoff`, retries.backoff)
  if ((retries.retryOn ?? '') === '') return
  for (const condition of (retries.retryOn ?? '').split(',')) {
    if (RETRY_CONDITIONS.includes(condition) || STATUS_CODES[condition] !== undefined) continue
    const blank = condition !== condition.trim()
    findings.error(code, `${at}/retryOn`, `"${shorten(condition)}" is not a condition to retry on`, {
      remedy: blank ? 'Write the list without blanks.' : `Possible are ${RETRY_CONDITIONS.join(', ')} and statuses.`,
    })
  }
}

export function checkFault(findings: Findings, at: string, fault: HTTPFaultInjection | undefined): void {
  if (fault === undefined) return
  const code = 'virtual-service/fault'
  const { delay, abort } = fault
  if (delay === undefined && abort === undefined) findings.error(code, at, 'a fault needs delay or abort')
  if (delay !== undefined) {
    if (delay.exponentialDelay !== undefined) {
      findings.error(code, `${at}/delay/exponentialDelay`, 'exponentialDelay is not supported')
    } else if (delay.fixedDelay === undefined) {
      findings.error(code, `${at}/delay`, '"fixedDelay" is missing')
    }
    checkDuration(findings, code, `${at}/delay/fixedDelay`, delay.fixedDelay)
    checkPercentage(findings, code, `${at}/delay/percentage/value`, delay.percentage?.value)
    checkPercentage(findings, code, `${at}/delay/percent`, delay.percent)
    if (delay.percent !== undefined) {
      findings.warning('schema/deprecated', `${at}/delay/percent`, 'percent is deprecated', {
        istioCode: 'IST0002',
        remedy: 'Write percentage: { value: … }.',
      })
    }
  }
  if (abort !== undefined) checkAbort(findings, `${at}/abort`, abort)
}

function checkAbort(findings: Findings, at: string, abort: NonNullable<HTTPFaultInjection['abort']>): void {
  const code = 'virtual-service/fault'
  const { httpStatus, grpcStatus } = abort
  if (abort.http2Error !== undefined) findings.error(code, `${at}/http2Error`, 'http2Error is not supported')
  else if (httpStatus === undefined && grpcStatus === undefined) {
    findings.error(code, at, 'an abort needs httpStatus or grpcStatus')
  }
  if (httpStatus !== undefined && grpcStatus !== undefined) {
    findings.error(code, `${at}/grpcStatus`, 'httpStatus and grpcStatus exclude each other')
  }
  if (httpStatus !== undefined && (httpStatus < 200 || httpStatus > 599)) {
    findings.error(code, `${at}/httpStatus`, `a status is from 200 to 599, found ${httpStatus}`)
  }
  if (grpcStatus !== undefined && !GRPC_STATUS_NAMES.includes(grpcStatus)) {
    findings.error(code, `${at}/grpcStatus`, `"${shorten(grpcStatus)}" is not a status of gRPC`, {
      remedy: `Possible are ${GRPC_STATUS_NAMES.join(', ')}.`,
    })
  }
  checkPercentage(findings, code, `${at}/percentage/value`, abort.percentage?.value)
  if (abort.percentage === undefined) {
    findings.warning(code, at, 'without percentage nothing is aborted', { remedy: 'Write percentage: { value: 100 }.' })
  }
}

export function checkMirrors(findings: Findings, at: string, route: HTTPRoute): void {
  const code = 'virtual-service/mirror'
  if (route.mirror !== undefined && (route.mirrors?.length ?? 0) > 0) {
    findings.error(code, `${at}/mirrors`, 'mirror and mirrors exclude each other')
  }
  if (route.mirror !== undefined) checkDestination(findings, `${at}/mirror`, route.mirror)
  if (route.mirrorPercent !== undefined) {
    findings.warning('schema/deprecated', `${at}/mirrorPercent`, 'mirrorPercent is deprecated', {
      istioCode: 'IST0002',
      remedy: 'Write mirrorPercentage: { value: … }.',
    })
    checkPercentage(findings, code, `${at}/mirrorPercent`, route.mirrorPercent)
  }
  checkPercentage(findings, code, `${at}/mirrorPercentage/value`, route.mirrorPercentage?.value)
  for (const [index, { destination, percentage }] of (route.mirrors ?? []).entries()) {
    const mirrorAt = `${at}/mirrors/${index}`
    if (destination === undefined) findings.error(code, mirrorAt, '"destination" is missing')
    else checkDestination(findings, `${mirrorAt}/destination`, destination)
    checkPercentage(findings, code, `${mirrorAt}/percentage/value`, percentage?.value)
  }
}

const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*']

export function checkCors(findings: Findings, at: string, cors: CorsPolicy | undefined): void {
  if (cors === undefined) return
  const code = 'virtual-service/cors'
  for (const [index, origin] of (cors.allowOrigins ?? []).entries()) {
    const originAt = `${at}/allowOrigins/${index}`
    if (Object.keys(origin).length === 0)
      findings.error(code, originAt, 'an origin needs one of exact, prefix and regex')
    checkStringMatch(findings, originAt, origin)
  }
  if (cors.allowOrigin !== undefined) {
    findings.warning('schema/deprecated', `${at}/allowOrigin`, 'allowOrigin is deprecated', {
      istioCode: 'IST0002',
      remedy: 'Write allowOrigins: [{ exact: … }].',
    })
  }
  for (const [index, method] of (cors.allowMethods ?? []).entries()) {
    if (METHODS.includes(method)) continue
    findings.error(code, `${at}/allowMethods/${index}`, `"${shorten(method)}" is not a method of HTTP`)
  }
  for (const field of ['allowHeaders', 'exposeHeaders'] as const) {
    for (const [index, name] of (cors[field] ?? []).entries())
      checkHeaderName(findings, code, `${at}/${field}/${index}`, name)
  }
  checkDuration(findings, code, `${at}/maxAge`, cors.maxAge, 'zero')
  if (cors.maxAge !== undefined && (parseDuration(cors.maxAge) ?? 0) % 1000 !== 0) {
    findings.error(code, `${at}/maxAge`, `maxAge is in whole seconds, found "${cors.maxAge}"`)
  }
}
