/**
 * Routes of the plan: one rule of a VirtualService per entry, its names resolved and its defaults filled in. Times are
 * milliseconds, percentages fractions from 0 to 1, header names lower case.
 */
import type { Origin } from './problem.ts'

/** A test of one text value. `regex` is RE2 and must match the whole value; `present` only asks that there is one. */
export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'regex'; readonly value: string }
  | { readonly kind: 'present' }

/** A test of the path without its query. A prefix compares text, not segments: `/foo` takes `/foobar`. */
export type PathMatch =
  | { readonly kind: 'any' }
  | { readonly kind: 'exact'; readonly path: string; readonly ignoreCase: boolean }
  | { readonly kind: 'prefix'; readonly prefix: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly regex: string }

export interface NamedMatch {
  /**
   * A header name in lower case (`:method`, `:authority`, `:path`, `:scheme` too), a query parameter, or a claim as its
   * author wrote it.
   */
  readonly name: string
  /** Names of a claim from the outside in: its text, or any text of a list, is looked at, and no header. */
  readonly claim?: readonly string[]
  readonly match: StringMatch
  /**
   * `withoutHeaders`: the rule needs this not to match. A missing header then counts as the empty text, a missing
   * claim as one that does not match.
   */
  readonly invert: boolean
}

/** Every condition holds (and). What is absent is not asked for. */
export interface RouteMatch {
  readonly path: PathMatch
  readonly method?: StringMatch
  readonly scheme?: StringMatch
  /** Compared with the Host header as received, its port included. */
  readonly authority?: StringMatch
  readonly headers?: readonly NamedMatch[]
  readonly queryParams?: readonly NamedMatch[]
}

/**
 * Changes to headers, evaluated as Envoy does (`header_parser.cc`): all removes, then every value is computed, then
 * all `set` (replace), then all `add` (another line). Values may hold Envoy's command operators; `%%` is a percent.
 */
export interface HeaderOperations {
  readonly remove: readonly string[]
  readonly set: readonly (readonly [name: string, value: string])[]
  readonly add: readonly (readonly [name: string, value: string])[]
}

export type PathRewrite =
  /** The first `length` characters of the path (the matched prefix) are replaced. */
  | { readonly kind: 'prefix'; readonly length: number; readonly replacement: string }
  | { readonly kind: 'full'; readonly replacement: string }
  /** All occurrences in the path without its query; `\0` to `\9` in `substitution` are groups. */
  | { readonly kind: 'regex'; readonly regex: string; readonly substitution: string }

export interface WeightedDestination {
  /** Name of the cluster, `outbound|PORT|SUBSET|HOST`. It may be missing from the plan: that is 503 `NC`. */
  readonly cluster: string
  /** Share is weight / sum of weights. Only destinations that can be chosen are listed. */
  readonly weight: number
  /** Set only where a rule has several destinations; a single one's operations are joined with the rule's. */
  readonly requestHeaders?: HeaderOperations
  readonly responseHeaders?: HeaderOperations
  /** Absent where the rule has a `hostRewrite`, which beats it. */
  readonly hostRewrite?: string
}

export interface RetryPolicy {
  /** Tries after the first one; at least 1 (no policy means no retries). */
  readonly attempts: number
  /** Envoy's `retry_on` names, for example `connect-failure`. */
  readonly conditions: readonly string[]
  /** For the condition `retriable-status-codes`. */
  readonly statusCodes: readonly number[]
  /** Per try; null: the route's timeout alone governs. */
  readonly perTryTimeoutMs: number | null
  readonly backoffBaseMs: number
  readonly backoffMaxMs: number
  /** Prefer endpoints that this request has not tried yet (five picks, then any). */
  readonly avoidPreviousHosts: boolean
  /**
   * The rule itself asks for `avoidPreviousHosts`, so it holds for clusters with consistent hash too. Without it a retry
   * to such a cluster goes where the hash says, to the same endpoint.
   */
  readonly evenWhenHashed?: true
}

export interface Mirror {
  readonly cluster: string
  /** Share of requests that are copied, 0 to 1. */
  readonly fraction: number
}

export interface FaultPlan {
  readonly delay?: { readonly fraction: number; readonly delayMs: number }
  readonly abort?:
    | { readonly fraction: number; readonly httpStatus: number }
    | { readonly fraction: number; readonly grpcStatus: number }
}

export interface CorsPlan {
  /** Any of them matches the whole Origin; an exact `*` matches every origin. */
  readonly allowOrigins: readonly StringMatch[]
  /** Header values, ready to send; absent: that header is not sent. A list with `*` echoes what was asked for. */
  readonly allowMethods?: string
  readonly allowHeaders?: string
  readonly exposeHeaders?: string
  /** Whole seconds, as text. */
  readonly maxAge?: string
  readonly allowCredentials: boolean
  /** What becomes of a preflight from an origin that is not allowed: sent on (Istio's default), or answered 200. */
  readonly forwardUnmatchedPreflights: boolean
}

export interface ForwardAction {
  readonly kind: 'forward'
  /** At least one; with exactly one its weight does not matter. */
  readonly destinations: readonly WeightedDestination[]
  /** From the end of the request to the start of the response, over all tries; null: none. */
  readonly timeoutMs: number | null
  /** Null: a request is tried once. */
  readonly retry: RetryPolicy | null
  readonly pathRewrite?: PathRewrite
  readonly hostRewrite?: string
  readonly mirrors?: readonly Mirror[]
}

export interface RedirectAction {
  readonly kind: 'redirect'
  readonly status: number
  /** `full` replaces the whole path, and keeps the request's query unless it has one itself. */
  readonly path?:
    | { readonly kind: 'full'; readonly value: string }
    | { readonly kind: 'prefix'; readonly length: number; readonly replacement: string }
  readonly authority?: string
  readonly scheme?: 'http' | 'https'
  /** Written into the location unless it is the scheme's default. */
  readonly port?: number
}

export interface DirectResponseAction {
  readonly kind: 'direct-response'
  readonly status: number
  /** Base64 of the body; absent: no body. */
  readonly body?: string
}

export type RouteAction = ForwardAction | RedirectAction | DirectResponseAction

export interface RoutePlan {
  /** For the access log: the rule's name, or `RULE.MATCH`; empty where it has none. */
  readonly name: string
  /** The match in the VirtualService that this came from; the delegate's where there is one. */
  readonly origin: Origin
  readonly match: RouteMatch
  readonly action: RouteAction
  readonly requestHeaders?: HeaderOperations
  readonly responseHeaders?: HeaderOperations
  readonly cors?: CorsPlan
  readonly fault?: FaultPlan
  /** Names in `Plan.rateLimits`, in the order in which they are checked. */
  readonly rateLimits?: readonly string[]
}

/** The routes of one host on one listener (Envoy's virtual host). First match wins. */
export interface VirtualHostPlan {
  /** Lower-case name, `*.suffix` or `*`. */
  readonly host: string
  /** A request that did not come over TLS is answered 301 to https, whatever its route (`httpsRedirect`). */
  readonly requireTls: boolean
  readonly routes: readonly RoutePlan[]
}

/** What a listener (or one TLS server of it) routes by. */
export interface RouteTablePlan {
  /** Envoy's route configuration name in Istio, for example `http.80`. */
  readonly name: string
  /** The Gateway server's port, whatever local port it is bound to. */
  readonly port: number
  readonly virtualHosts: Readonly<Record<string, VirtualHostPlan>>
}
