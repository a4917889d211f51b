/**
 * Istio's default access log lines, written out by hand: every request makes one, so they are plain concatenations
 * over one scan of the headers. A test holds them against the compiled formats that they stand for
 * (`istio: pilot/pkg/model/telemetry_logging.go`).
 */
import { requestedServerName } from '../exchange/connection.ts'
import { escapeText, quoteJson } from '../exchange/escape.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { firstValue, protocolName, underscored } from '../exchange/operators.ts'
import { createDefaultTimeFormat } from '../exchange/start-time.ts'

/** Makes a whole line, its newline included. `durationMs`: from the start of the request to the last byte out. */
export type LogLine = (exchange: Exchange, durationMs: number) => string

/** What {@link createDefaultTextLine} writes, as a format string. */
export const DEFAULT_TEXT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'

/** What {@link createDefaultJsonLine} writes: Istio's keys, then `generation`, which is this gateway's own. */
export const DEFAULT_JSON_FORMAT: Readonly<Record<string, string>> = {
  start_time: '%START_TIME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  route_name: '%ROUTE_NAME%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  generation: '%GENERATION%',
}

/** Istio's text line: 22 items with a blank between them. */
export function createDefaultTextLine(): LogLine {
  const time = createDefaultTimeFormat()
  return (exchange, durationMs) => {
    const { upstream } = exchange
    const request = readHeaders(exchange.headers)
    return (
      `[${time(exchange.startedAt)}] ` +
      `"${quoted(exchange.method)} ${quoted(request.originalPath || exchange.path)} ${protocolName(exchange) || '-'}" ` +
      `${exchange.status} ${exchange.flags || '-'} ${bare(underscored(exchange.details))} ` +
      `${bare(exchange.terminationDetails)} "${quoted(underscored(upstream.failureReason))}" ` +
      `${exchange.bytesReceived} ${exchange.bytesSent} ${Math.trunc(durationMs)} ` +
      `${bare(serviceTime(exchange))} "${quoted(request.forwardedFor)}" "${quoted(request.userAgent)}" ` +
      `"${quoted(request.requestId)}" "${quoted(exchange.authority)}" "${upstream.endpoint || '-'}" ` +
      `${bare(upstream.cluster)} ${upstream.localAddress || '-'} ${exchange.localAddress || '-'} ` +
      `${exchange.clientAddress || '-'} ${bare(requestedServerName(exchange))} ${bare(exchange.route?.name ?? '')}\n`
    )
  }
}

/** Istio's JSON object, and `generation`. */
export function createDefaultJsonLine(): LogLine {
  const time = createDefaultTimeFormat()
  return (exchange, durationMs) => {
    const { upstream } = exchange
    const request = readHeaders(exchange.headers)
    return (
      `{"start_time":"${time(exchange.startedAt)}","method":${bytes(exchange.method)},` +
      `"path":${bytes(request.originalPath || exchange.path)},"protocol":${plain(protocolName(exchange))},` +
      `"response_code":${exchange.status},"response_flags":"${exchange.flags || '-'}",` +
      `"response_code_details":${text(underscored(exchange.details))},` +
      `"connection_termination_details":${text(exchange.terminationDetails)},` +
      `"bytes_received":${exchange.bytesReceived},"bytes_sent":${exchange.bytesSent},` +
      `"duration":${Math.trunc(durationMs)},"upstream_service_time":${bytes(serviceTime(exchange))},` +
      `"x_forwarded_for":${bytes(request.forwardedFor)},"user_agent":${bytes(request.userAgent)},` +
      `"request_id":${bytes(request.requestId)},"authority":${bytes(exchange.authority)},` +
      `"upstream_host":${plain(upstream.endpoint)},"upstream_cluster":${text(upstream.cluster)},` +
      `"upstream_local_address":${plain(upstream.localAddress)},` +
      `"downstream_local_address":${plain(exchange.localAddress)},` +
      `"downstream_remote_address":${plain(exchange.clientAddress)},` +
      `"requested_server_name":${bytes(requestedServerName(exchange))},` +
      `"route_name":${text(exchange.route?.name ?? '')},` +
      `"upstream_transport_failure_reason":${text(underscored(upstream.failureReason))},` +
      `"generation":${plain(exchange.epoch.generation)}}\n`
    )
  }
}

interface LoggedHeaders {
  originalPath: string
  forwardedFor: string
  userAgent: string
  requestId: string
}

/** The first value of each header that the default lines show, in one scan: from the end, so that the first wins. */
function readHeaders(headers: readonly string[]): LoggedHeaders {
  const found = { originalPath: '', forwardedFor: '', userAgent: '', requestId: '' }
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    switch (headers[i]) {
      case 'user-agent':
        found.userAgent = headers[i + 1]!
        break
      case 'x-forwarded-for':
        found.forwardedFor = headers[i + 1]!
        break
      case 'x-request-id':
        found.requestId = headers[i + 1]!
        break
      case 'x-envoy-original-path':
        found.originalPath = headers[i + 1]!
        break
      default:
    }
  }
  return found
}

function serviceTime(exchange: Exchange): string {
  return exchange.responseHeaders === null ? '' : firstValue(exchange.responseHeaders, 'x-envoy-upstream-service-time')
}

function quoted(value: string): string {
  return value === '' ? '-' : escapeText(value, true)
}

function bare(value: string): string {
  return value === '' ? '-' : escapeText(value, false)
}

function plain(value: string): string {
  return value === '' ? 'null' : `"${value}"`
}

function text(value: string): string {
  return value === '' ? 'null' : quoteJson(value, false)
}

function bytes(value: string): string {
  return value === '' ? 'null' : quoteJson(value, true)
}
