/**
 * MeshConfig's `extensionProviders`, as far as they are external authorizers: their form, checked field by field.
 *
 * Source: istio/api mesh/v1alpha1/config.proto (`ExtensionProvider`).
 */
import type { Static } from 'typebox'
import { isHeaderName } from '../../lib/names.ts'
import { parseDuration } from '../../lib/duration.ts'
import type { Problem } from '../../plan/problem.ts'
import { createFindings, type Findings } from '../../resources/findings.ts'
import { checkSchema } from '../../resources/schema-check.ts'
import { count, duration, fields, flag, type Frozen, map, optional, text, texts } from '../../resources/schema.ts'

const CODE = 'mesh/extension-provider'

const BodySchema = fields({
  maxRequestBytes: optional(count),
  allowPartialMessage: optional(flag),
  packAsBytes: optional(flag),
})

const common = {
  service: optional(text),
  port: optional(count),
  timeout: optional(duration),
  failOpen: optional(flag),
  clearRouteCache: optional(flag),
  statusOnError: optional(text),
  includeRequestBodyInCheck: optional(BodySchema),
}

const GrpcSchema = fields(common)

const HttpSchema = fields({
  ...common,
  pathPrefix: optional(text),
  includeHeadersInCheck: optional(texts),
  includeRequestHeadersInCheck: optional(texts),
  includeAdditionalHeadersInCheck: optional(map(text)),
  headersToUpstreamOnAllow: optional(texts),
  headersToDownstreamOnAllow: optional(texts),
  headersToDownstreamOnDeny: optional(texts),
})

export type HttpProvider = Frozen<Static<typeof HttpSchema>>
export type GrpcProvider = Frozen<Static<typeof GrpcSchema>>

export type ExtAuthzProvider =
  | { readonly kind: 'http'; readonly settings: HttpProvider }
  | { readonly kind: 'grpc'; readonly settings: GrpcProvider }

export interface ReadProvider {
  /** Null: it is another kind of provider, or it is wrong. */
  readonly provider: ExtAuthzProvider | null
  readonly problems: readonly Problem[]
}

const HEADER_LISTS = [
  'includeHeadersInCheck',
  'includeRequestHeadersInCheck',
  'headersToUpstreamOnAllow',
  'headersToDownstreamOnAllow',
  'headersToDownstreamOnDeny',
] as const

/** Longest time that a timer can be set to, in ms. */
const LONGEST_MS = 2 ** 31 - 1

/** Statuses that Envoy knows (envoy type/v3/http_status.proto). */
const STATUSES: readonly (readonly [first: number, last: number])[] = [
  [200, 208],
  [226, 226],
  [300, 305],
  [307, 308],
  [400, 418],
  [421, 426],
  [428, 429],
  [431, 431],
  [500, 508],
  [510, 511],
]

/**
 * @param value One entry of `extensionProviders`, as it was written.
 * @param pointer Where that is in the mesh settings.
 */
export function readProvider(
  value: Readonly<Record<string, unknown>>,
  pointer: string,
  rootNamespace: string,
): ReadProvider {
  const findings = createFindings({ kind: 'MeshConfig', metadata: { namespace: rootNamespace, name: 'mesh' } })
  const { envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc } = value
  const provider =
    http != null && grpc != null
      ? findings.error(CODE, pointer, 'a provider is either envoyExtAuthzHttp or envoyExtAuthzGrpc')
      : http != null
        ? readHttp(http, `${pointer}/envoyExtAuthzHttp`, findings)
        : grpc != null
          ? readGrpc(grpc, `${pointer}/envoyExtAuthzGrpc`, findings)
          : undefined
  const { problems } = findings
  const isWrong = problems.some(({ severity }) => severity === 'error')
  return { provider: isWrong ? null : (provider ?? null), problems }
}

function readHttp(value: unknown, pointer: string, findings: Findings): ExtAuthzProvider {
  const settings = checkSchema(HttpSchema, value, pointer, { findings, redact: false }) as HttpProvider | undefined
  if (settings === undefined) return { kind: 'http', settings: {} }
  checkCommon(settings, pointer, findings)
  const { pathPrefix = '', includeAdditionalHeadersInCheck: additional } = settings
  if (pathPrefix !== '' && !/^\/[\x21-\x7e]*$/.test(pathPrefix)) {
    findings.error(CODE, `${pointer}/pathPrefix`, `a path begins with / and has no blanks, found "${pathPrefix}"`)
  }
  for (const field of HEADER_LISTS) {
    for (const [index, name] of (settings[field] ?? []).entries()) {
      if (!isNamePattern(name)) {
        findings.error(
          CODE,
          `${pointer}/${field}/${index}`,
          `expected the name of a header, its beginning with * behind it or its end with * before it, found "${name}"`,
        )
      }
    }
  }
  for (const name of Object.keys(additional ?? {})) {
    if (!isHeaderName(name)) {
      findings.error(CODE, `${pointer}/includeAdditionalHeadersInCheck`, `"${name}" is not the name of a header`)
    }
  }
  return { kind: 'http', settings }
}

function readGrpc(value: unknown, pointer: string, findings: Findings): ExtAuthzProvider {
  const settings = checkSchema(GrpcSchema, value, pointer, { findings, redact: false }) as GrpcProvider | undefined
  if (settings === undefined) return { kind: 'grpc', settings: {} }
  checkCommon(settings, pointer, findings)
  return { kind: 'grpc', settings }
}

function checkCommon(settings: GrpcProvider, pointer: string, findings: Findings): void {
  const { service = '', port = 0, timeout, statusOnError = '', includeRequestBodyInCheck: body } = settings
  if (service === '') findings.error(CODE, `${pointer}/service`, 'the service that is asked has to be named')
  if (port < 1 || port > 65535) {
    findings.error(CODE, `${pointer}/port`, `a port is a number from 1 to 65535, found ${port}`)
  }
  const timeoutMs = timeout === undefined ? 1 : (parseDuration(timeout) ?? 0)
  if (timeoutMs < 1 || timeoutMs > LONGEST_MS) {
    findings.error(CODE, `${pointer}/timeout`, `a duration from 1ms to 24 days is needed here, found "${timeout}"`)
  }
  if (statusOnError !== '' && !isStatus(statusOnError)) {
    findings.error(CODE, `${pointer}/statusOnError`, `"${statusOnError}" is not an HTTP status such as "403"`)
  }
  if (body !== undefined && (body.maxRequestBytes ?? 0) < 1) {
    findings.error(
      CODE,
      `${pointer}/includeRequestBodyInCheck/maxRequestBytes`,
      'the number of bytes that a check may hold has to be given',
    )
  }
}

/** Istio refuses `*` alone: it would hand everything over. */
function isNamePattern(text: string): boolean {
  const name = text.endsWith('*') ? text.slice(0, -1) : text.startsWith('*') ? text.slice(1) : text
  return isHeaderName(name) && !name.includes('*')
}

function isStatus(text: string): boolean {
  const status = /^[1-5][0-9]{2}$/.test(text) ? Number(text) : 0
  return STATUSES.some(([first, last]) => status >= first && status <= last)
}
