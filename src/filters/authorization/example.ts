/**
 * Requests that a rule matches, made up from what the rule asks for: policies are proven with them (../proof.ts).
 */
import type {
  AuthorizationRulePlan,
  ConditionPlan,
  PathTemplate,
  RequestPrincipalMatch,
  TextAttribute,
  ValueMatch,
} from '../../plan/authorization.ts'

/** As much of a request as policies look at. */
export interface ExampleRequest {
  method: string
  pathname: string
  authority: string
  /** By name in lower case. */
  headers: Record<string, string>
  /** Addresses of the connection's peer, of the client, and of the gateway's end, without ports. */
  peerIp: string
  clientIp: string
  localIp: string
  port: number
  serverName: string
  /** SPIFFE ID of a certificate, without its scheme; empty: none was shown. */
  principal: string
  token: ExampleToken | null
}

export interface ExampleToken {
  issuer: string
  subject: string
  audiences: string[]
  presenter: string
  claims: Record<string, unknown>
}

/** What nobody has written a rule for, it is hoped; addresses are for documentation (RFC 5737). */
export function ordinaryRequest(): ExampleRequest {
  return {
    method: 'GET',
    pathname: '/sluice-proof',
    authority: 'proof.sluice.invalid',
    headers: {},
    peerIp: '192.0.2.254',
    clientIp: '192.0.2.254',
    localIp: '198.51.100.254',
    port: 80,
    serverName: '',
    principal: '',
    token: null,
  }
}

/** Pairs of a source and an operation that are tried for one rule, and values of each field. */
const MAX_PAIRS = 16
const MAX_VALUES = 3

/** Requests that should match, the likeliest first; a rule may contradict itself, so each has to be tried. */
export function examplesOf({ from, to, when }: AuthorizationRulePlan): ExampleRequest[] {
  const examples: ExampleRequest[] = []
  const sources = from.length === 0 ? [[]] : from
  const operations = to.length === 0 ? [[]] : to
  const pairs = sources.flatMap((source) => operations.map((operation) => [...source, ...operation, ...when]))
  for (let value = 0; value < MAX_VALUES; value++) {
    for (const conditions of pairs.slice(0, MAX_PAIRS)) examples.push(exampleFor(conditions, value))
  }
  return examples
}

function exampleFor(conditions: readonly ConditionPlan[], value: number): ExampleRequest {
  const request = ordinaryRequest()
  // What must not be is filled in first, so that what must be has the last word.
  for (const condition of conditions) if (condition.not) avoid(condition, request)
  for (const condition of conditions) if (!condition.not) fulfil(condition, request, value)
  return request
}

/** Requests that a list of rules is likely not to match: an ordinary one, and those that break one condition each. */
export function* counterExamplesOf(rules: readonly AuthorizationRulePlan[]): Generator<ExampleRequest> {
  yield ordinaryRequest()
  for (const { from, to, when } of rules) {
    for (const condition of [...from.flat(), ...to.flat(), ...when]) {
      const request = ordinaryRequest()
      if (condition.not) fulfil(condition, request)
      else avoid(condition, request)
      yield request
    }
  }
}

/** Gives the request what `condition` names, whether the condition wants it or not. @param value Which of its values. */
function fulfil(condition: ConditionPlan, request: ExampleRequest, value = 0): void {
  const nth = <T>(values: readonly T[]): T | undefined => values[value % values.length]
  switch (condition.kind) {
    case 'text':
      fulfilText(condition.attribute, exampleOf(nth(condition.values)), request)
      return
    case 'header':
      fulfilHeader(condition.name, exampleOf(nth(condition.values)), request)
      return
    case 'path':
      request.pathname = pathOf(nth(condition.values))
      return
    case 'claim':
      setClaim(tokenOf(request).claims, condition.path, exampleOf(nth(condition.values)))
      return
    case 'request-principal':
      fulfilPrincipal(nth(condition.values), request)
      return
    case 'address': {
      const address = (nth(condition.blocks) ?? '').replace(/\/.*$/, '')
      if (condition.attribute === 'destination.ip') request.localIp = address
      else if (condition.attribute === 'remote.ip') request.clientIp = address
      else request.peerIp = address
      return
    }
    case 'port':
      request.port = nth(condition.ports) ?? request.port
      return
    default:
      condition satisfies never
  }
}

/** Gives the request another value than any that `condition` names, where the ordinary one could be among them. */
function avoid(condition: ConditionPlan, request: ExampleRequest): void {
  if (condition.kind === 'port') request.port = [80, 443, 1].find((port) => !condition.ports.includes(port)) ?? 2
  else if (condition.kind === 'text' && condition.attribute === 'method') request.method = 'PROOF'
}

const IDENTITY = /^([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/

function fulfilText(attribute: TextAttribute, value: string, request: ExampleRequest): void {
  if (attribute.startsWith('source.')) request.principal ||= 'cluster.local/ns/proof/sa/proof'
  switch (attribute) {
    case 'method':
      request.method = value
      return
    case 'host':
      request.authority = value
      return
    case 'connection.sni':
      request.serverName = value
      return
    case 'request.auth.audiences':
      tokenOf(request).audiences.push(value)
      return
    case 'request.auth.presenter':
      tokenOf(request).presenter = value
      return
    case 'source.principal':
      request.principal = value
      return
    case 'source.namespace':
      request.principal = request.principal.replace(IDENTITY, `$1/ns/${value}/sa/$3`)
      return
    case 'source.serviceAccount': {
      const [namespace, account] = value.split('/')
      request.principal = request.principal.replace(IDENTITY, `$1/ns/${namespace}/sa/${account}`)
      return
    }
    case 'source.trustDomain':
      request.principal = request.principal.replace(IDENTITY, `${value}/ns/$2/sa/$3`)
      return
    case 'metadata':
      return
    default:
      attribute satisfies never
  }
}

function fulfilHeader(name: string, value: string, request: ExampleRequest): void {
  if (name === ':method') request.method = value
  else if (name === ':authority' || name === 'host') request.authority = value
  else if (name === ':path') request.pathname = value
  else request.headers[name] = value
}

function fulfilPrincipal(match: RequestPrincipalMatch | undefined, request: ExampleRequest): void {
  const token = tokenOf(request)
  token.issuer = exampleOf(match?.issuer)
  token.subject = exampleOf(match?.subject)
}

function tokenOf(request: ExampleRequest): ExampleToken {
  request.token ??= { issuer: 'proof', subject: 'proof', audiences: [], presenter: '', claims: {} }
  return request.token
}

function setClaim(claims: Record<string, unknown>, path: readonly string[], value: string): void {
  let level = claims
  for (const name of path.slice(0, -1)) {
    const known = Object.hasOwn(level, name) ? level[name] : undefined
    const inner = typeof known === 'object' && known !== null ? (known as Record<string, unknown>) : {}
    Object.defineProperty(level, name, { value: inner, enumerable: true, configurable: true })
    level = inner
  }
  Object.defineProperty(level, path.at(-1)!, { value, enumerable: true, configurable: true })
}

function exampleOf(match: ValueMatch | undefined): string {
  if (match === undefined || match.kind === 'present') return 'proof'
  if (match.kind === 'prefix') return `${match.value}proof`
  return match.kind === 'suffix' ? `proof${match.value}` : match.value
}

function pathOf(match: ValueMatch | PathTemplate | undefined): string {
  if (match?.kind !== 'template') return match?.kind === 'present' ? '/' : exampleOf(match)
  return match.literals.join('proof') + (match.rest ?? '')
}
