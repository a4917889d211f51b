/**
 * RequestAuthentications that are for this gateway → the rules that tokens are verified by.
 *
 * Source: istio: pilot/pkg/security/authn/policy_applier.go (`NewPolicyApplier`, `convertToEnvoyJwtConfig`),
 * pilot/pkg/model/jwks_resolver.go (where keys come from).
 */
import { durationMs } from '../../lib/duration.ts'
import type { JwtClaimHeaderPlan, JwtKeysPlan, JwtLocationPlan, JwtProviderPlan } from '../../plan/jwt.ts'
import type { Problem } from '../../plan/problem.ts'
import type { JWTRule, RequestAuthentication } from '../../resources/request-authentication.ts'
import type { Snapshot } from '../../resources/snapshot.ts'
import { originOf, problem } from '../findings.ts'
import type { CompileOptions } from '../options.ts'
import type { Workload } from '../workload.ts'
import { selectionOf } from './selection.ts'

export interface RequestAuthenticationPlan {
  /** Sorted by issuer, as Istio does: where several rules accept a token the first one's word counts. */
  readonly providers: readonly JwtProviderPlan[]
  readonly problems: readonly Problem[]
}

/** A policy that may be for this gateway is in force: it lets nothing through that would not pass without it. */
export function compileRequestAuthentications(
  { requestAuthentications }: Pick<Snapshot, 'requestAuthentications'>,
  workload: Workload,
  options: CompileOptions,
): RequestAuthenticationPlan {
  const problems: Problem[] = []
  const providers = requestAuthentications
    .filter((policy) => selectionOf(policy, workload, options) !== 'none')
    .flatMap((policy) =>
      (policy.spec.jwtRules ?? []).map((rule, index) => compileRule(policy, rule, `/spec/jwtRules/${index}`, problems)),
    )
    .sort((a, b) => compareText(a.issuer, b.issuer))
  return { providers, problems }
}

function compileRule(
  policy: RequestAuthentication,
  rule: JWTRule,
  pointer: string,
  problems: Problem[],
): JwtProviderPlan {
  const keys = compileKeys(rule)
  if (keys.kind === 'none') {
    problems.push(
      problem('error', policy, pointer, {
        code: 'request-authentication/no-keys',
        message: `the rule has neither jwks nor jwksUri, and its issuer is no address, so every token is refused`,
        remedy: 'Set jwksUri.',
      }),
    )
  }
  const isOutput = (header: string) => {
    if (!NOT_OUTPUTS.has(header)) return true
    problems.push(
      problem('error', policy, pointer, {
        code: 'request-authentication/output-header',
        message: `no claim is written to the header "${header}", as it is part of how the request is sent`,
      }),
    )
    return false
  }
  const payloadHeader = (rule.outputPayloadToHeader ?? '').toLowerCase()
  return {
    origin: originOf(policy, pointer),
    issuer: rule.issuer ?? '',
    audiences: rule.audiences ?? [],
    keys,
    locations: compileLocations(rule),
    forwardOriginalToken: rule.forwardOriginalToken ?? false,
    ...(payloadHeader !== '' && isOutput(payloadHeader) ? { outputPayloadToHeader: payloadHeader } : {}),
    outputClaimToHeaders: (rule.outputClaimToHeaders ?? [])
      .map(({ header, claim }): JwtClaimHeaderPlan => ({ header: header.toLowerCase(), claim: claim.split('.') }))
      .filter(({ header }) => isOutput(header)),
    spaceDelimitedClaims: [...new Set([...ALWAYS_SPLIT, ...(rule.spaceDelimitedClaims ?? [])])],
  }
}

const ALWAYS_SPLIT = ['scope', 'permission']

/** Headers that frame the request or lead it somewhere: a claim in them would be a claim about the connection. */
const NOT_OUTPUTS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

const DEFAULT_TIMEOUT_MS = 5000

function compileKeys({ issuer = '', jwks = '', jwksUri = '', timeout }: JWTRule): JwtKeysPlan {
  // With both, the keys that are given here win.
  if (jwks !== '') return { kind: 'inline', jwks }
  const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(timeout) || DEFAULT_TIMEOUT_MS
  if (jwksUri !== '') return { kind: 'uri', uri: jwksUri, timeoutMs }
  const uri = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  return /^https?:$/.test(URL.parse(uri)?.protocol ?? '') ? { kind: 'discovery', uri, timeoutMs } : { kind: 'none' }
}

/** Envoy looks at headers, then at parameters, then at cookies, each in the order of their names. */
function compileLocations({ fromHeaders = [], fromParams = [], fromCookies = [] }: JWTRule): JwtLocationPlan[] {
  if (fromHeaders.length + fromParams.length + fromCookies.length === 0) {
    return [
      { kind: 'header', name: 'authorization', prefix: 'Bearer ' },
      { kind: 'param', name: 'access_token' },
    ]
  }
  const headers = fromHeaders
    .map(({ name, prefix = '' }) => ({ kind: 'header' as const, name: name.toLowerCase(), prefix }))
    .sort((a, b) => compareText(a.name + a.prefix, b.name + b.prefix))
  return [
    ...headers,
    ...fromParams.toSorted(compareText).map((name) => ({ kind: 'param' as const, name })),
    ...fromCookies.toSorted(compareText).map((name) => ({ kind: 'cookie' as const, name })),
  ]
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
