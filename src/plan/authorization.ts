/**
 * AuthorizationPolicies that are for this gateway, resolved: by action, with one list of rules each, values read into
 * their forms, principals spelled out over the aliases of the trust domain.
 *
 * Source: semantics §5.6 to §5.10; istio: pilot/pkg/security/authz/{builder,model,matcher}.
 */
import type { ExtAuthzProviderPlan } from './ext-authz.ts'
import type { Origin } from './problem.ts'

export interface AuthorizationPlan {
  /** External authorizers, each asked where one of its rules matches; in the order of their policies. */
  readonly custom: readonly CustomAuthorizationPlan[]
  readonly audit: readonly AuthorizationRulePlan[]
  readonly deny: readonly AuthorizationRulePlan[]
  /** Null: no policy allows anything, so everything is allowed. Empty: nothing is. */
  readonly allow: readonly AuthorizationRulePlan[] | null
  /** Policies on trial (`istio.io/dry-run`): evaluated and told about, never in force. */
  readonly dryRun: {
    readonly deny: readonly AuthorizationRulePlan[]
    /** Null: no ALLOW policy is on trial. */
    readonly allow: readonly AuthorizationRulePlan[] | null
  }
}

export interface CustomAuthorizationPlan {
  /** As `spec.provider.name` says. */
  readonly name: string
  /** Null: there is no such provider, it is broken, or there are several: what `rules` match is then denied. */
  readonly provider: ExtAuthzProviderPlan | null
  readonly rules: readonly AuthorizationRulePlan[]
}

/** A rule matches where `from`, `to` and `when` do. */
export interface AuthorizationRulePlan {
  /** `ns[NAMESPACE]-policy[NAME]-rule[INDEX]`, as response code details name it. */
  readonly id: string
  /** The policy, with the pointer of the rule. */
  readonly origin: Origin
  /** One of the sources has to match in all its conditions; empty: every source does. */
  readonly from: readonly (readonly ConditionPlan[])[]
  /** One of the operations has to match in all its conditions; empty: every operation does. */
  readonly to: readonly (readonly ConditionPlan[])[]
  /** All of them have to hold. */
  readonly when: readonly ConditionPlan[]
}

/**
 * One attribute of the request and what it is compared with. An attribute that the request does not have matches no
 * value, so a condition `not` holds for it.
 */
export type ConditionPlan =
  | {
      readonly kind: 'text'
      readonly attribute: TextAttribute
      readonly not: boolean
      /** One of them has to match. */
      readonly values: readonly ValueMatch[]
    }
  /** A request header by its name in lower case. */
  | { readonly kind: 'header'; readonly name: string; readonly not: boolean; readonly values: readonly ValueMatch[] }
  /** The normalised path without its query. */
  | { readonly kind: 'path'; readonly not: boolean; readonly values: readonly (ValueMatch | PathTemplate)[] }
  /** A claim of the token: a text, or any text of a list. */
  | {
      readonly kind: 'claim'
      /** Names from the outside in. */
      readonly path: readonly string[]
      readonly not: boolean
      readonly values: readonly ValueMatch[]
    }
  /** Issuer and subject of the token; a token that lacks one of them has no principal. */
  | { readonly kind: 'request-principal'; readonly not: boolean; readonly values: readonly RequestPrincipalMatch[] }
  | {
      readonly kind: 'address'
      readonly attribute: AddressAttribute
      readonly not: boolean
      /** `ADDRESS/BITS`, IPv4 or IPv6. */
      readonly blocks: readonly string[]
    }
  /** The port of the Gateway server. */
  | { readonly kind: 'port'; readonly not: boolean; readonly ports: readonly number[] }

export type TextAttribute =
  /** `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT` of the client's certificate. */
  | 'source.principal'
  | 'source.namespace'
  /** `NAMESPACE/ACCOUNT` */
  | 'source.serviceAccount'
  | 'source.trustDomain'
  | 'request.auth.audiences'
  | 'request.auth.presenter'
  | 'connection.sni'
  /** Authority as received, port included; compared in any letter case. */
  | 'host'
  | 'method'
  /** What filters of a proxy leave behind; no filter of this gateway does. */
  | 'metadata'

export type AddressAttribute =
  /** Of the TCP peer. */
  | 'source.ip'
  /** Of the client that the peer is trusted to speak for. */
  | 'remote.ip'
  | 'destination.ip'

export type ValueMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly value: string }
  /** `*`: any text but the empty one; of a header, any. */
  | { readonly kind: 'present' }

export interface RequestPrincipalMatch {
  readonly issuer: ValueMatch
  readonly subject: ValueMatch
}

/** `/users/{*}/orders`, `/files/{**}`. */
export interface PathTemplate {
  readonly kind: 'template'
  /** What stands before, between and behind the `{*}`, each of which is one segment that is not empty. */
  readonly literals: readonly string[]
  /** With a `{**}` behind the last of `literals`: what follows that; null: there is none. */
  readonly rest: string | null
}
