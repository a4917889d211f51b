/**
 * An external authorizer: a service that is asked whether a request may pass.
 *
 * Source: istio/api mesh/v1alpha1/config.proto (`EnvoyExternalAuthorizationHttpProvider`,
 * `EnvoyExternalAuthorizationGrpcProvider`); istio: pilot/pkg/security/authz/builder/extauthz.go.
 */
export interface ExtAuthzProviderPlan {
  /** As `extensionProviders[].name` says. */
  readonly name: string
  /** Key of the cluster that is asked. */
  readonly cluster: string
  /** Host of the service. */
  readonly host: string
  /** From the beginning of the check to the end of its answer, connecting included. */
  readonly timeoutMs: number
  /** True: a request passes where the authorizer cannot be asked or gives no usable answer. */
  readonly failOpen: boolean
  /** Status of the answer in that case, where it does not pass. */
  readonly statusOnError: number
  /** How much of the request's body the authorizer is shown; null: nothing. */
  readonly body: ExtAuthzBodyPlan | null
  readonly protocol: ExtAuthzHttpPlan | ExtAuthzGrpcPlan
}

export interface ExtAuthzBodyPlan {
  /** At least 1. A longer body is cut where `allowPartial` is set, and 413 where it is not. */
  readonly maxBytes: number
  readonly allowPartial: boolean
  /** For gRPC: as bytes in `raw_body` instead of as text in `body`. */
  readonly packAsBytes: boolean
}

export interface ExtAuthzHttpPlan {
  readonly kind: 'http'
  /** Stands before the path of the check; empty: the request's own path. */
  readonly pathPrefix: string
  /** Of the request: sent with the check besides those that always are. */
  readonly requestHeaders: readonly HeaderNameMatch[]
  /** Of the gateway's own, as name and value with Envoy's format operators; they replace what the request has. */
  readonly additionalHeaders: readonly (readonly [name: string, value: string])[]
  /** Of the answer: replace the request's on allow. */
  readonly upstreamOnAllow: readonly HeaderNameMatch[]
  /** Of the answer: added to the response on allow. */
  readonly downstreamOnAllow: readonly HeaderNameMatch[]
  /** Of the answer: sent to a client that is refused; empty: all. */
  readonly downstreamOnDeny: readonly HeaderNameMatch[]
}

export interface ExtAuthzGrpcPlan {
  readonly kind: 'grpc'
}

/** A header's name, in lower case, or how it begins or ends. */
export interface HeaderNameMatch {
  readonly kind: 'exact' | 'prefix' | 'suffix'
  readonly value: string
}
