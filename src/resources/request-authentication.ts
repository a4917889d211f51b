/** RequestAuthentication: which JWTs are verified, and how. istio/api security/v1beta1/request_authentication.proto */
import type { Static } from 'typebox'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings } from './findings.ts'
import type { Resource } from './resource.ts'
import {
  duration,
  fields,
  flag,
  type Frozen,
  list,
  optional,
  PolicySelectorSchema,
  PolicyTargetReferenceSchema,
  text,
  texts,
} from './schema.ts'
import { checkDuration, checkHeaderName, checkPolicyTargets, shorten } from './rules.ts'

const JWTRuleSchema = fields({
  issuer: optional(text),
  audiences: optional(texts),
  jwksUri: optional(text),
  jwks: optional(text),
  fromHeaders: optional(list(fields({ name: text, prefix: optional(text) }))),
  fromParams: optional(texts),
  fromCookies: optional(texts),
  outputPayloadToHeader: optional(text),
  outputClaimToHeaders: optional(list(fields({ header: text, claim: text }))),
  forwardOriginalToken: optional(flag),
  spaceDelimitedClaims: optional(texts),
  timeout: optional(duration),
})

export const RequestAuthenticationSpecSchema = fields({
  selector: optional(PolicySelectorSchema),
  targetRef: optional(PolicyTargetReferenceSchema),
  targetRefs: optional(list(PolicyTargetReferenceSchema)),
  jwtRules: optional(list(JWTRuleSchema)),
})

export type JWTRule = Frozen<Static<typeof JWTRuleSchema>>
export type RequestAuthenticationSpec = Frozen<Static<typeof RequestAuthenticationSpecSchema>>
export type RequestAuthentication = Resource<'RequestAuthentication', RequestAuthenticationSpec>

/** istio: `pkg/config/validation/validation.go`, `ValidateRequestAuthentication`. */
export function validateRequestAuthentication(policy: RequestAuthentication): Problem[] {
  const findings = createFindings(policy)
  checkPolicyTargets(findings, 'request-authentication/target', policy.spec)
  for (const [index, rule] of (policy.spec.jwtRules ?? []).entries()) {
    checkJWTRule(findings, `/spec/jwtRules/${index}`, rule)
  }
  return [...findings.problems]
}

function checkJWTRule(findings: Findings, at: string, rule: JWTRule): void {
  const code = 'request-authentication/jwt-rule'
  if ((rule.issuer ?? '') === '' && (rule.jwksUri ?? '') === '') {
    findings.error(code, at, 'a rule needs issuer or jwksUri')
  }
  for (const field of ['audiences', 'fromParams', 'fromCookies', 'spaceDelimitedClaims'] as const) {
    for (const [index, value] of (rule[field] ?? []).entries()) {
      if (value === '') findings.error(code, `${at}/${field}/${index}`, `an entry of ${field} is empty`)
    }
  }
  if ((rule.jwksUri ?? '') !== '' && !/^https?:$/.test(protocolOf(rule.jwksUri ?? ''))) {
    findings.error(code, `${at}/jwksUri`, `expected an http or https URL, found "${shorten(rule.jwksUri ?? '')}"`)
  }
  checkKeySet(findings, `${at}/jwks`, rule.jwks)
  for (const [index, { name }] of (rule.fromHeaders ?? []).entries()) {
    checkHeaderName(findings, code, `${at}/fromHeaders/${index}/name`, name)
  }
  if ((rule.outputPayloadToHeader ?? '') !== '') {
    checkHeaderName(findings, code, `${at}/outputPayloadToHeader`, rule.outputPayloadToHeader ?? '')
  }
  for (const [index, { header, claim }] of (rule.outputClaimToHeaders ?? []).entries()) {
    checkHeaderName(findings, code, `${at}/outputClaimToHeaders/${index}/header`, header)
    if (claim === '')
      findings.error(code, `${at}/outputClaimToHeaders/${index}/claim`, 'the name of the claim is empty')
  }
  checkDuration(findings, code, `${at}/timeout`, rule.timeout)
}

function protocolOf(url: string): string {
  return URL.parse(url)?.protocol ?? ''
}

/** Fields that only private and symmetric keys have (RFC 7518, section 6). */
const PRIVATE_FIELDS = ['d', 'p', 'q', 'dp', 'dq', 'qi']

function checkKeySet(findings: Findings, at: string, jwks: string | undefined): void {
  if (jwks === undefined || jwks === '') return
  const code = 'request-authentication/jwks'
  let set: unknown
  try {
    set = JSON.parse(jwks)
  } catch {
    findings.error(code, at, 'jwks is not JSON')
    return
  }
  const keys = (set as { keys?: unknown } | null)?.keys
  if (!Array.isArray(keys) || keys.length === 0) {
    findings.error(code, at, 'jwks needs "keys", a list with at least one key')
    return
  }
  for (const key of keys as unknown[]) {
    const fields = typeof key === 'object' && key !== null ? key : undefined
    if (fields === undefined || typeof (fields as { kty?: unknown }).kty !== 'string') {
      findings.error(code, at, 'a key of jwks has no "kty"')
    } else if (PRIVATE_FIELDS.some((field) => Object.hasOwn(fields, field))) {
      findings.warning(code, at, 'jwks holds a private key; verifying needs the public one alone')
    }
  }
}
