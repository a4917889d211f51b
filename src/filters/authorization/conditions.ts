/**
 * Conditions of rules as closures over an exchange. An attribute that the request does not have matches no value.
 *
 * Source: semantics §5.4 and §5.7; envoy: source/extensions/filters/common/rbac/matchers.cc.
 */
import { claimAt } from '../../exchange/claims.ts'
import type { WorkloadIdentity } from '../../exchange/client-certificate.ts'
import { requestedServerName } from '../../exchange/connection.ts'
import type { Exchange, VerifiedToken } from '../../exchange/exchange.ts'
import type {
  AddressAttribute,
  ConditionPlan,
  RequestPrincipalMatch,
  TextAttribute,
  ValueMatch,
} from '../../plan/authorization.ts'
import { compileBlocks } from './addresses.ts'
import { compilePaths } from './paths.ts'
import { compileValues, type TextTest } from './values.ts'

/** @throws Error where the exchange lacks what it must have (an address): the request must not pass then. */
export type ExchangeTest = (exchange: Exchange) => boolean

export function compileCondition(plan: ConditionPlan): ExchangeTest {
  const test = compilePositive(plan)
  return plan.not ? (exchange) => !test(exchange) : test
}

function compilePositive(plan: ConditionPlan): ExchangeTest {
  switch (plan.kind) {
    case 'text':
      return compileText(plan.attribute, plan.values)
    case 'path': {
      const test = compilePaths(plan.values)
      return ({ pathname }) => test(pathname)
    }
    case 'header':
      return compileHeader(plan.name, plan.values)
    case 'claim': {
      const { path } = plan
      const test = compileValues(plan.values)
      return (exchange) => {
        const token = tokenOf(exchange)
        return token !== undefined && isTextOrMember(claimAt(token.claims, path), test)
      }
    }
    case 'request-principal':
      return compileRequestPrincipal(plan.values)
    case 'address': {
      const test = compileBlocks(plan.blocks)
      const read = ADDRESSES[plan.attribute]
      return (exchange) => test(read(exchange))
    }
    case 'port': {
      const { ports } = plan
      return ({ listener }) => ports.includes(listener.port)
    }
    default:
      return plan satisfies never
  }
}

const ADDRESSES: Readonly<Record<AddressAttribute, (exchange: Exchange) => string>> = {
  'source.ip': ({ peerAddress }) => peerAddress,
  'remote.ip': ({ clientAddress }) => clientAddress,
  'destination.ip': ({ localAddress }) => localAddress,
}

function compileText(attribute: TextAttribute, values: readonly ValueMatch[]): ExchangeTest {
  switch (attribute) {
    case 'method': {
      const test = compileValues(values)
      return ({ method }) => test(method)
    }
    case 'host': {
      const test = compileValues(values.map(lowerCase))
      // Without a port the authority in lower case is at hand.
      return ({ authority, host }) => test(authority.length === host.length ? host : authority.toLowerCase())
    }
    case 'connection.sni': {
      const test = compileValues(values)
      return (exchange) => test(requestedServerName(exchange).toLowerCase())
    }
    case 'request.auth.audiences': {
      const test = compileValues(values)
      return (exchange) => tokenOf(exchange)?.audiences.some(test) ?? false
    }
    case 'request.auth.presenter': {
      const test = compileValues(values)
      return (exchange) => {
        const presenter = tokenOf(exchange)?.presenter ?? ''
        return presenter !== '' && test(presenter)
      }
    }
    case 'source.principal':
      return compilePrincipal(values)
    case 'source.namespace': {
      const test = compileValues(values)
      return (exchange) => {
        const identity = identityOf(exchange)
        return identity !== null && test(identity.namespace)
      }
    }
    case 'source.serviceAccount': {
      const test = compileValues(values)
      return (exchange) => {
        const identity = identityOf(exchange)
        return identity !== null && test(`${identity.namespace}/${identity.serviceAccount}`)
      }
    }
    case 'source.trustDomain': {
      const test = compileValues(values)
      return (exchange) => {
        const identity = identityOf(exchange)
        return identity !== null && test(identity.trustDomain)
      }
    }
    // No filter leaves metadata behind.
    case 'metadata':
      return () => false
    default:
      return attribute satisfies never
  }
}

const SPIFFE = 'spiffe://'

/**
 * A SPIFFE ID without its scheme; a suffix is compared with any URI of the certificate, and `*` is any certificate that
 * was verified (istio: pilot/pkg/security/authz/matcher/string.go, `StringMatcherWithPrefix`).
 */
function compilePrincipal(values: readonly ValueMatch[]): ExchangeTest {
  const isPresentEnough = values.some(({ kind }) => kind === 'present')
  const test = compileValues(
    values.map((match) =>
      match.kind === 'exact' || match.kind === 'prefix' ? { ...match, value: SPIFFE + match.value } : match,
    ),
  )
  return ({ clientCertificate }) => {
    if (clientCertificate === null || !clientCertificate.verified) return false
    return isPresentEnough || clientCertificate.uris.some(test)
  }
}

function identityOf({ clientCertificate }: Exchange): WorkloadIdentity | null {
  return clientCertificate?.verified === true ? clientCertificate.identity : null
}

/** Unlike other attributes a header is present with an empty value, too (Envoy's `present_match`). */
function compileHeader(name: string, values: readonly ValueMatch[]): ExchangeTest {
  const isPresentEnough = values.some(({ kind }) => kind === 'present')
  const test = compileValues(values)
  return (exchange) => {
    const value = exchange.header(name)
    return value !== undefined && (isPresentEnough || test(value))
  }
}

function compileRequestPrincipal(values: readonly RequestPrincipalMatch[]): ExchangeTest {
  const tests = values.map(({ issuer, subject }) => {
    const isIssuer = compileValues([issuer])
    const isSubject = compileValues([subject])
    return (token: VerifiedToken) => isIssuer(token.issuer) && isSubject(token.subject)
  })
  return (exchange) => {
    const token = tokenOf(exchange)
    if (token === undefined || token.issuer === '' || token.subject === '') return false
    for (const test of tests) if (test(token)) return true
    return false
  }
}

/**
 * A request's identity is that of one token, the first that was found good: two of them must not lend each other what
 * neither has alone.
 */
function tokenOf({ tokens }: Exchange): VerifiedToken | undefined {
  return tokens[0]
}

/** Text, or a list with such a text in it; numbers and truth values match nothing. */
function isTextOrMember(claim: unknown, test: TextTest): boolean {
  if (typeof claim === 'string') return test(claim)
  return Array.isArray(claim) && claim.some((member) => typeof member === 'string' && test(member))
}

function lowerCase(match: ValueMatch): ValueMatch {
  return match.kind === 'present' ? match : { kind: match.kind, value: match.value.toLowerCase() }
}
