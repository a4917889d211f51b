/**
 * Envoy's command operators by name: what each reads from an exchange (`envoy: docs/root/configuration/observability/
 * access_log/usage`, `source/common/formatter`). `substitution.ts` puts them into lines, JSON and headers.
 */
import { portOf, requestedServerName, tlsCipher, tlsVersion, withoutPort } from './connection.ts'
import { DURATION_OPERATORS } from './durations.ts'
import type { Exchange } from './exchange.ts'
import { grpcStatusCamel, grpcStatusNumber, grpcStatusSnake } from './grpc-status.ts'
import { longResponseFlags } from './response-flags.ts'
import type { HeaderList } from './headers.ts'
import { compileTimeFormat, createDefaultTimeFormat } from './start-time.ts'

/** What operators know that is not in the exchange. */
export interface FormatDependencies {
  /** For `%HOSTNAME%`. */
  readonly hostname: string
  /** For `%ENVIRONMENT(X)%`. Empty for formats whose author must not read the gateway's environment. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** For `%CONNECTION_ID%`: a number of its own for each connection of this process; absent: unknown. */
  readonly connectionId?: (exchange: Exchange) => number
}

/** What an operator reads: the exchange, its duration in ms (-1: not over yet), and the response's headers if any. */
export type Reader<T> = (exchange: Exchange, durationMs: number, response: HeaderList | null) => T

/**
 * `number`: at least 0; less: nothing to tell. Texts are empty where there is nothing to tell. `plain` cannot hold
 * anything that needs escaping, `text` is Unicode from configuration, `bytes` is what a peer sent, a byte a character.
 */
export type Operator =
  | { readonly kind: 'number'; readonly read: Reader<number> }
  | { readonly kind: 'plain' | 'text' | 'bytes'; readonly read: Reader<string> }

/** Makes an operator from what stands in its parentheses, or tells what is wrong with that. */
export type OperatorMaker = (argument: string | undefined, deps: FormatDependencies) => Operator | string

/** Operators of Envoy that this gateway knows no value for: always empty, so that a shared format keeps its shape. */
export const OPERATORS_WITHOUT_VALUE: ReadonlySet<string> = new Set([
  'ACCESS_LOG_TYPE',
  'CEL',
  'CLUSTER_METADATA',
  'DOWNSTREAM_HANDSHAKE_DURATION',
  'DOWNSTREAM_LOCAL_DNS_SAN',
  'DOWNSTREAM_LOCAL_SUBJECT',
  'DOWNSTREAM_LOCAL_URI_SAN',
  'DOWNSTREAM_PEER_CERT_V_END',
  'DOWNSTREAM_PEER_CERT_V_START',
  'DOWNSTREAM_TLS_SESSION_ID',
  'DOWNSTREAM_TRANSPORT_FAILURE_REASON',
  'DYNAMIC_METADATA',
  'FILTER_CHAIN_NAME',
  'FILTER_STATE',
  'LOCAL_REPLY_BODY',
  'METADATA',
  'ROUNDTRIP_DURATION',
  'TRACE_ID',
  'TRAILER',
  'UNIQUE_ID',
  'UPSTREAM_CONNECTION_ID',
  'UPSTREAM_FILTER_STATE',
  'UPSTREAM_METADATA',
  'UPSTREAM_PEER_CERT',
  'UPSTREAM_PEER_SUBJECT',
  'UPSTREAM_PEER_URI_SAN',
  'UPSTREAM_TLS_CIPHER',
  'UPSTREAM_TLS_VERSION',
  'UPSTREAM_WIRE_BYTES_RECEIVED',
  'UPSTREAM_WIRE_BYTES_SENT',
  'VIRTUAL_CLUSTER_NAME',
])

/** Operators that take a number after a colon: the value is cut to so many characters. */
export const OPERATORS_WITH_LENGTH: ReadonlySet<string> = new Set([
  'DYNAMIC_METADATA',
  'ENVIRONMENT',
  'FILTER_STATE',
  'PATH',
  'QUERY_PARAM',
  'REQ',
  'REQ_WITHOUT_QUERY',
  'RESP',
  'TRAILER',
])

export const OPERATORS: Readonly<Record<string, OperatorMaker>> = {
  START_TIME: (argument) => {
    if (argument === undefined || argument === '') {
      const format = createDefaultTimeFormat()
      return { kind: 'plain', read: (exchange) => format(exchange.startedAt) }
    }
    const compiled = compileTimeFormat(argument)
    if (!compiled.ok) return compiled.reason
    return { kind: 'text', read: (exchange) => compiled.format(exchange.startedAt) }
  },
  REQ: (argument) => header(argument, requestHeader),
  REQ_WITHOUT_QUERY: (argument) =>
    header(argument, (name) => {
      const read = requestHeader(name)
      return (...facts) => cutQuery(read(...facts))
    }),
  RESP: (argument) => header(argument, responseHeader),
  PATH: pathOperator,
  QUERY_PARAM: (argument) =>
    argument === undefined || argument === ''
      ? 'it needs the name of a parameter in parentheses'
      : { kind: 'bytes', read: (exchange) => queryParameter(exchange.query, argument) },

  PROTOCOL: plain((exchange) => protocolName(exchange)),
  RESPONSE_CODE: number((exchange) => exchange.status),
  RESPONSE_CODE_DETAILS: text((exchange) => underscored(exchange.details)),
  RESPONSE_FLAGS: plain((exchange) => exchange.flags || '-'),
  RESPONSE_FLAGS_LONG: plain((exchange) => longResponseFlags(exchange.flags) || '-'),
  CONNECTION_TERMINATION_DETAILS: text((exchange) => exchange.terminationDetails),
  GRPC_STATUS: grpcStatus,
  GRPC_STATUS_NUMBER: number((exchange) => grpcStatusNumber(exchange.grpcStatus)),

  BYTES_RECEIVED: number((exchange) => exchange.bytesReceived),
  BYTES_SENT: number((exchange) => exchange.bytesSent),
  DOWNSTREAM_WIRE_BYTES_RECEIVED: number((exchange) => exchange.requestHeadBytes + exchange.bytesReceived),
  DOWNSTREAM_WIRE_BYTES_SENT: number((exchange) => exchange.responseHeadBytes + exchange.bytesSent),
  DOWNSTREAM_HEADER_BYTES_RECEIVED: number((exchange) => exchange.requestHeadBytes),
  DOWNSTREAM_HEADER_BYTES_SENT: number((exchange) => exchange.responseHeadBytes),
  DURATION: number((_exchange, durationMs) => Math.trunc(durationMs)),
  ...DURATION_OPERATORS,

  UPSTREAM_HOST: plain((exchange) => exchange.upstream.endpoint),
  UPSTREAM_CLUSTER: text((exchange) => exchange.upstream.cluster),
  UPSTREAM_CLUSTER_RAW: text((exchange) => exchange.upstream.cluster),
  ...addressForms('UPSTREAM_LOCAL', (exchange) => exchange.upstream.localAddress),
  ...addressForms('UPSTREAM_REMOTE', (exchange) => exchange.upstream.endpoint),
  UPSTREAM_PROTOCOL: plain((exchange) => exchange.upstream.protocol),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: number((exchange) => exchange.upstream.attempts),
  UPSTREAM_TRANSPORT_FAILURE_REASON: text((exchange) => underscored(exchange.upstream.failureReason)),

  ...addressForms('DOWNSTREAM_REMOTE', (exchange) => exchange.clientAddress),
  ...addressForms('DOWNSTREAM_DIRECT_REMOTE', (exchange) => exchange.peerAddress),
  ...addressForms('DOWNSTREAM_DIRECT_LOCAL', (exchange) => exchange.localAddress),
  ...addressForms('DOWNSTREAM_LOCAL', (exchange) => exchange.localAddress),
  REQUESTED_SERVER_NAME: bytes(requestedServerName),
  DOWNSTREAM_TLS_VERSION: plain(tlsVersion),
  DOWNSTREAM_TLS_CIPHER: plain(tlsCipher),
  DOWNSTREAM_PEER_URI_SAN: text(({ clientCertificate }) => clientCertificate?.uris.join(',') ?? ''),
  DOWNSTREAM_PEER_DNS_SAN: text(({ clientCertificate }) => clientCertificate?.dnsNames.join(',') ?? ''),
  DOWNSTREAM_PEER_SUBJECT: text(({ clientCertificate }) => clientCertificate?.subject ?? ''),
  DOWNSTREAM_PEER_ISSUER: text(({ clientCertificate }) => clientCertificate?.issuer ?? ''),
  DOWNSTREAM_PEER_SERIAL: plain(({ clientCertificate }) => clientCertificate?.serialNumber ?? ''),
  DOWNSTREAM_PEER_FINGERPRINT_256: plain(({ clientCertificate }) => clientCertificate?.sha256 ?? ''),
  DOWNSTREAM_PEER_FINGERPRINT_1: plain(({ clientCertificate }) => clientCertificate?.sha1 ?? ''),
  DOWNSTREAM_PEER_CERT: plain(({ clientCertificate }) => clientCertificate?.encodedPem ?? ''),

  ROUTE_NAME: text((exchange) => exchange.route?.name ?? ''),
  // Envoy takes the request id for the stream's id where requests have one.
  STREAM_ID: bytes((exchange) => exchange.requestId),
  CONNECTION_ID: (_argument, { connectionId }) => ({ kind: 'number', read: connectionId ?? (() => -1) }),
  HOSTNAME: (_argument, { hostname }) => ({ kind: 'text', read: () => hostname }),
  ENVIRONMENT: (argument, { environment }) => {
    if (argument === undefined || argument === '') return 'it needs the name of a variable in parentheses'
    const value = Object.hasOwn(environment, argument) ? (environment[argument] ?? '') : ''
    return { kind: 'text', read: () => value }
  },
  /** Not Envoy's: number and hash of the plan that the request began with. */
  GENERATION: plain((exchange) => exchange.epoch.generation),
}

function plain(read: Reader<string>): OperatorMaker {
  return withoutArgument({ kind: 'plain', read })
}

function text(read: Reader<string>): OperatorMaker {
  return withoutArgument({ kind: 'text', read })
}

function bytes(read: Reader<string>): OperatorMaker {
  return withoutArgument({ kind: 'bytes', read })
}

function number(read: Reader<number>): OperatorMaker {
  return withoutArgument({ kind: 'number', read })
}

function withoutArgument(operator: Operator): OperatorMaker {
  return (argument) => (argument === undefined ? operator : `it takes no argument, but has "(${argument})"`)
}

/** The forms in which Envoy tells an address: with its port, without it, and the port alone. */
function addressForms(prefix: string, read: Reader<string>): Record<string, OperatorMaker> {
  return {
    [`${prefix}_ADDRESS`]: plain(read),
    [`${prefix}_ADDRESS_WITHOUT_PORT`]: plain((...facts) => withoutPort(read(...facts))),
    [`${prefix}_PORT`]: number((...facts) => portOf(read(...facts))),
  }
}

/** `A?B`: header A, or else B. */
function header(argument: string | undefined, find: (name: string) => Reader<string>): Operator | string {
  const [first = '', second, more] = (argument ?? '').toLowerCase().split('?')
  if (first === '' || second === '' || more !== undefined)
    return 'it needs a header name, or two with "?" between them, in parentheses'
  const read = find(first)
  if (second === undefined) return { kind: 'bytes', read }
  const alternative = find(second)
  return { kind: 'bytes', read: (...facts) => read(...facts) || alternative(...facts) }
}

function requestHeader(name: string): Reader<string> {
  if (name.startsWith(':') || name === 'host') return (exchange) => exchange.header(name) ?? ''
  return (exchange) => firstValue(exchange.headers, name)
}

function responseHeader(name: string): Reader<string> {
  return (_exchange, _durationMs, response) => (response === null ? '' : firstValue(response, name))
}

/** The first line of a header: what Envoy's operators show, where matching sees all lines joined. */
export function firstValue(headers: HeaderList, name: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]!
  return ''
}

function cutQuery(path: string): string {
  const query = path.indexOf('?')
  return query === -1 ? path : path.slice(0, query)
}

/** `PATH(WQ)` with the query, `PATH(NQ)` without; after a colon ORIG, PATH or ORIG_OR_PATH (the default). */
function pathOperator(argument: string | undefined): Operator | string {
  const form = /^(WQ|NQ)?(?::(ORIG|PATH|ORIG_OR_PATH))?$/.exec(argument ?? '')
  if (form === null) return `it takes WQ or NQ, then ":" and ORIG, PATH or ORIG_OR_PATH, not "${argument}"`
  const cut = form[1] === 'NQ' ? cutQuery : (path: string) => path
  const original = requestHeader('x-envoy-original-path')
  const current = requestHeader(':path')
  switch (form[2]) {
    case 'ORIG':
      return { kind: 'bytes', read: (...facts) => cut(original(...facts)) }
    case 'PATH':
      return { kind: 'bytes', read: (...facts) => cut(current(...facts)) }
    default:
      return { kind: 'bytes', read: (...facts) => cut(original(...facts) || current(...facts)) }
  }
}

/** The first parameter of that name, its percent sequences decoded to bytes. */
function queryParameter(query: string, name: string): string {
  for (const pair of query.slice(1).split('&')) {
    const equals = pair.indexOf('=')
    if (decodePercent(equals === -1 ? pair : pair.slice(0, equals)) === name)
      return equals === -1 ? '' : decodePercent(pair.slice(equals + 1))
  }
  return ''
}

function decodePercent(encoded: string): string {
  return encoded.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function grpcStatus(argument: string | undefined): Operator | string {
  switch (argument) {
    case undefined:
    case '':
    case 'CAMEL_STRING':
      return { kind: 'bytes', read: (exchange) => grpcStatusCamel(exchange.grpcStatus) }
    case 'SNAKE_STRING':
      return { kind: 'bytes', read: (exchange) => grpcStatusSnake(exchange.grpcStatus) }
    case 'NUMBER':
      return { kind: 'bytes', read: (exchange) => exchange.grpcStatus }
    default:
      return `it takes CAMEL_STRING, SNAKE_STRING or NUMBER, not "${argument}"`
  }
}

/** `HTTP/1.1`, `HTTP/2`. */
export function protocolName(exchange: Exchange): string {
  const version = exchange.req.httpVersion
  return version === '1.1' ? 'HTTP/1.1' : version === '2.0' ? 'HTTP/2' : version ? `HTTP/${version}` : ''
}

/** Reasons are one word in the log: Envoy writes `_` for blanks in them. */
export function underscored(reason: string): string {
  return /\s/.test(reason) ? reason.replace(/\s+/g, '_') : reason
}
