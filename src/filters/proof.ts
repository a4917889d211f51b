/**
 * Whether policies do what they say: requests that they have to refuse are made up, put through the compiled policies,
 * and what became of them is told. Nothing is sent anywhere and nobody is asked.
 */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { ClientCertificate } from '../exchange/client-certificate.ts'
import { type Epoch, Exchange } from '../exchange/exchange.ts'
import { joinAddress } from '../exchange/connection.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import type { AuthorizationRulePlan } from '../plan/authorization.ts'
import type { JwtLocationPlan, JwtProviderPlan } from '../plan/jwt.ts'
import type { AuthorizationPolicyPlan, PoliciesPlan } from '../plan/policy.ts'
import type { Origin } from '../plan/problem.ts'
import type { PolicyProof } from '../plan/proof.ts'
import { counterExamplesOf, type ExampleRequest, examplesOf, ordinaryRequest } from './authorization/example.ts'
import { compileRule } from './authorization/rules.ts'
import type { Filter } from './filter.ts'

export interface ProofDeps {
  /** The compiled policies, without those that ask elsewhere; null: there are none. */
  readonly filter: Filter | null
  readonly epoch: Epoch
  /** Lower case, without its port. */
  readonly hostOf: (authority: string) => string
  /** Told of each exchange before it is tried, so that what is told about requests is not told about it. */
  readonly onTry: (exchange: Exchange) => void
}

type Finding = Pick<PolicyProof, 'state' | 'because'>

/** Requests that are made up for one policy at most. */
const MAX_TRIES = 64
/** Policies between two turns of the event loop: requests of clients wait for no more. */
const IN_A_TURN = 20

/** One proof for each policy, in the order of the plan. */
export async function provePolicies(plan: PoliciesPlan, deps: ProofDeps): Promise<PolicyProof[]> {
  const proofs: PolicyProof[] = []
  const add = async (kind: PolicyProof['kind'], { namespace, name }: Origin, finding: Promise<Finding>) => {
    proofs.push({ kind, namespace, name, ...(await finding) })
    if (proofs.length % IN_A_TURN === 0) await setImmediate()
  }
  for (const policy of plan.authorizationPolicies) {
    await add('AuthorizationPolicy', policy.origin, proveAuthorization(policy, plan, deps))
  }
  const byPolicy = Map.groupBy(plan.jwt, ({ origin }) => `${origin.namespace}/${origin.name}`)
  for (const rules of byPolicy.values()) {
    await add('RequestAuthentication', rules[0]!.origin, proveTokens(rules, deps))
  }
  return proofs
}

async function proveAuthorization(policy: AuthorizationPolicyPlan, plan: PoliciesPlan, deps: ProofDeps) {
  const { authorization } = plan
  if (policy.isTrial) return loaded('it is on trial and decides nothing')
  switch (policy.action) {
    case 'AUDIT':
      return loaded('it decides nothing')
    case 'CUSTOM': {
      const asked = authorization.custom.find(({ rules }) => rules.some((rule) => isOf(rule, policy)))
      if (asked?.provider != null) return loaded(`what it refuses is up to the external authorizer "${asked.name}"`)
      return proveRefusal(asked?.rules.filter((rule) => isOf(rule, policy)) ?? [], deps)
    }
    case 'DENY':
      return proveRefusal(
        authorization.deny.filter((rule) => isOf(rule, policy)),
        deps,
      )
    case 'ALLOW':
      return proveAllow(authorization.allow ?? [], deps)
    default:
      return policy.action satisfies never
  }
}

/** A request that a rule matches has to be refused, by that rule where it is the first. */
async function proveRefusal(rules: readonly AuthorizationRulePlan[], deps: ProofDeps): Promise<Finding> {
  let why = 'no request could be made up that its rules match'
  let tries = 0
  for (const rule of rules) {
    const matches = compileRule(rule)
    for (const example of examplesOf(rule)) {
      if (tries++ === MAX_TRIES) return loaded(why)
      const exchange = exchangeOf(example, deps)
      if (!matches(exchange)) continue
      const reply = await ask(exchange, deps)
      if (reply?.details.includes(rule.id.replaceAll(/\s/g, '_')) === true)
        return proven(`${rule.id} refused a request`)
      if (reply !== undefined) why = `what it matches is refused before it is asked (${reply.details})`
      // What was removed from the request on its way (a header that a token fills) is no longer there to match.
      else if (matches(exchange)) return failed(`a request that ${rule.id} matches was not refused`)
      else why = 'what its rules ask for comes with a good token alone, which cannot be made up'
    }
  }
  return loaded(why)
}

/** A request that no ALLOW rule matches has to be refused. */
async function proveAllow(rules: readonly AuthorizationRulePlan[], deps: ProofDeps): Promise<Finding> {
  const tests = rules.map(compileRule)
  let tries = 0
  for (const example of counterExamplesOf(rules)) {
    if (tries++ === MAX_TRIES) break
    const exchange = exchangeOf(example, deps)
    if (tests.some((matches) => matches(exchange))) continue
    const reply = await ask(exchange, deps)
    if (reply?.details === 'rbac_access_denied_matched_policy[none]') {
      return proven('a request that no ALLOW rule matches was refused')
    }
    if (reply === undefined) return failed('a request that no ALLOW rule matches was not refused')
  }
  return loaded('no request could be made up that the ALLOW rules do not match')
}

/** A token that nobody could have signed has to be refused. Its keys are not asked for: it is not even looked at. */
async function proveTokens(rules: readonly JwtProviderPlan[], deps: ProofDeps): Promise<Finding> {
  for (const { locations } of rules) {
    for (const location of locations) {
      const exchange = exchangeOf(ordinaryRequest(), deps)
      place(location, exchange)
      const reply = await ask(exchange, deps)
      if (reply === undefined) return failed(`an unsigned token in its ${location.kind} ${location.name} was accepted`)
      if (!reply.details.startsWith('jwt_authn_access_denied')) {
        return loaded(`a bad token is refused before it is looked at (${reply.details})`)
      }
    }
  }
  return rules.length === 0 ? loaded('it has no rules') : proven('bad tokens were refused wherever it looks for them')
}

/** `{"alg":"none"}.{}.none`: refused before any key is asked for. */
const UNSIGNED = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.none`

function place(location: JwtLocationPlan, exchange: Exchange): void {
  if (location.kind === 'header') exchange.headers.push(location.name, location.prefix + UNSIGNED)
  else if (location.kind === 'cookie') exchange.headers.push('cookie', `${location.name}=${UNSIGNED}`)
  else exchange.query = `?${encodeURIComponent(location.name)}=${UNSIGNED}`
}

async function ask(exchange: Exchange, { filter, onTry }: ProofDeps): Promise<LocalReply | undefined> {
  onTry(exchange)
  return filter?.(exchange)
}

function exchangeOf(example: ExampleRequest, { epoch, hostOf }: ProofDeps): Exchange {
  const socket = Object.assign(new Socket(), { servername: example.serverName })
  const req = new IncomingMessage(socket)
  const tls = example.serverName !== ''
  const listener = { port: example.port, tls, routeTable: '', draining: false }
  const exchange = new Exchange(req, new ServerResponse(req), listener, epoch, Date.now(), performance.now())
  exchange.method = example.method
  exchange.pathname = example.pathname
  exchange.path = example.pathname
  exchange.authority = example.authority
  exchange.host = hostOf(example.authority)
  exchange.headers = Object.entries(example.headers).flat()
  exchange.peerAddress = joinAddress(example.peerIp, 4444)
  exchange.clientAddress = joinAddress(example.clientIp, 4444)
  exchange.localAddress = joinAddress(example.localIp, example.port)
  if (example.principal !== '') exchange.clientCertificate = certificateOf(example.principal)
  if (example.token !== null) exchange.tokens = [example.token]
  return exchange
}

/** As much of one as policies look at. */
function certificateOf(principal: string): ClientCertificate {
  const [, trustDomain, namespace, serviceAccount] = /^([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(principal) ?? []
  const isWhole = trustDomain !== undefined && namespace !== undefined && serviceAccount !== undefined
  return {
    verified: true,
    uris: [`spiffe://${principal}`],
    dnsNames: [],
    identity: isWhole ? { trustDomain, namespace, serviceAccount } : null,
    subject: '',
    issuer: '',
    sha256: '',
    sha1: '',
    serialNumber: '',
    validFrom: 0,
    validTo: 0,
    encodedPem: '',
    forwardedElement: '',
  }
}

function isOf({ origin }: AuthorizationRulePlan, policy: AuthorizationPolicyPlan): boolean {
  return origin.namespace === policy.origin.namespace && origin.name === policy.origin.name
}

const proven = (because: string): Finding => ({ state: 'proven', because })
const loaded = (because: string): Finding => ({ state: 'loaded', because })
const failed = (because: string): Finding => ({ state: 'failed', because })
