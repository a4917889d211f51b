/** VirtualService: how requests to hosts are routed. istio/api networking/v1alpha3/virtual_service.proto */
import type { Static } from 'typebox'
import type { Resource } from './resource.ts'
import {
  count,
  duration,
  fields,
  flag,
  type Frozen,
  integer,
  labels,
  list,
  map,
  number,
  optional,
  text,
  texts,
  word,
} from './schema.ts'

/** One of `exact`, `prefix`, `regex`; none of them tests for presence. */
export const StringMatchSchema = fields({
  exact: optional(text),
  prefix: optional(text),
  regex: optional(text),
})

export const HTTPMatchRequestSchema = fields({
  name: optional(text),
  uri: optional(StringMatchSchema),
  scheme: optional(StringMatchSchema),
  method: optional(StringMatchSchema),
  authority: optional(StringMatchSchema),
  headers: optional(map(StringMatchSchema)),
  port: optional(count),
  sourceLabels: optional(labels),
  gateways: optional(texts),
  queryParams: optional(map(StringMatchSchema)),
  ignoreUriCase: optional(flag),
  withoutHeaders: optional(map(StringMatchSchema)),
  sourceNamespace: optional(text),
  statPrefix: optional(text),
})

const DestinationSchema = fields({
  host: text,
  subset: optional(text),
  port: optional(fields({ number: optional(count) })),
})

const HeaderOperationsSchema = fields({
  set: optional(map(text)),
  add: optional(map(text)),
  remove: optional(texts),
})

const HeadersSchema = fields({
  request: optional(HeaderOperationsSchema),
  response: optional(HeaderOperationsSchema),
})

const HTTPRouteDestinationSchema = fields({
  destination: DestinationSchema,
  weight: optional(integer),
  headers: optional(HeadersSchema),
})

const RouteDestinationSchema = fields({
  destination: DestinationSchema,
  weight: optional(integer),
})

const PercentSchema = fields({ value: optional(number) })

const HTTPRedirectSchema = fields({
  uri: optional(text),
  prefixRewrite: optional(text),
  authority: optional(text),
  port: optional(count),
  derivePort: optional(word(['FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'])),
  scheme: optional(text),
  redirectCode: optional(count),
})

const HTTPDirectResponseSchema = fields({
  status: count,
  body: optional(
    fields({
      string: optional(text),
      /** base64 */
      bytes: optional(text),
    }),
  ),
})

const HTTPRewriteSchema = fields({
  uri: optional(text),
  authority: optional(text),
  uriRegexRewrite: optional(fields({ match: optional(text), rewrite: optional(text) })),
})

const HTTPRetrySchema = fields({
  attempts: optional(integer),
  perTryTimeout: optional(duration),
  retryOn: optional(text),
  retryRemoteLocalities: optional(flag),
  retryIgnorePreviousHosts: optional(flag),
  backoff: optional(duration),
})

const HTTPFaultInjectionSchema = fields({
  delay: optional(
    fields({
      percent: optional(integer),
      fixedDelay: optional(duration),
      exponentialDelay: optional(duration),
      percentage: optional(PercentSchema),
    }),
  ),
  abort: optional(
    fields({
      httpStatus: optional(integer),
      grpcStatus: optional(text),
      http2Error: optional(text),
      percentage: optional(PercentSchema),
    }),
  ),
})

const HTTPMirrorPolicySchema = fields({
  destination: optional(DestinationSchema),
  percentage: optional(PercentSchema),
})

const CorsPolicySchema = fields({
  allowOrigin: optional(texts),
  allowOrigins: optional(list(StringMatchSchema)),
  allowMethods: optional(texts),
  allowHeaders: optional(texts),
  exposeHeaders: optional(texts),
  maxAge: optional(duration),
  allowCredentials: optional(flag),
  unmatchedPreflights: optional(word(['UNSPECIFIED', 'FORWARD', 'IGNORE'])),
})

const DelegateSchema = fields({ name: optional(text), namespace: optional(text) })

const HTTPRouteSchema = fields({
  name: optional(text),
  match: optional(list(HTTPMatchRequestSchema)),
  route: optional(list(HTTPRouteDestinationSchema)),
  redirect: optional(HTTPRedirectSchema),
  directResponse: optional(HTTPDirectResponseSchema),
  delegate: optional(DelegateSchema),
  rewrite: optional(HTTPRewriteSchema),
  timeout: optional(duration),
  retries: optional(HTTPRetrySchema),
  fault: optional(HTTPFaultInjectionSchema),
  mirror: optional(DestinationSchema),
  mirrors: optional(list(HTTPMirrorPolicySchema)),
  mirrorPercent: optional(count),
  mirrorPercentage: optional(PercentSchema),
  corsPolicy: optional(CorsPolicySchema),
  headers: optional(HeadersSchema),
})

const TLSMatchAttributesSchema = fields({
  sniHosts: optional(texts),
  destinationSubnets: optional(texts),
  port: optional(count),
  sourceLabels: optional(labels),
  gateways: optional(texts),
  sourceNamespace: optional(text),
})

const TLSRouteSchema = fields({
  match: optional(list(TLSMatchAttributesSchema)),
  route: optional(list(RouteDestinationSchema)),
})

const L4MatchAttributesSchema = fields({
  destinationSubnets: optional(texts),
  port: optional(count),
  sourceLabels: optional(labels),
  gateways: optional(texts),
  sourceNamespace: optional(text),
  /** Never implemented by Istio. */
  sourceSubnet: optional(text),
})

const TCPRouteSchema = fields({
  match: optional(list(L4MatchAttributesSchema)),
  route: optional(list(RouteDestinationSchema)),
})

export const VirtualServiceSpecSchema = fields({
  hosts: optional(texts),
  gateways: optional(texts),
  http: optional(list(HTTPRouteSchema)),
  tls: optional(list(TLSRouteSchema)),
  tcp: optional(list(TCPRouteSchema)),
  exportTo: optional(texts),
})

export type StringMatch = Frozen<Static<typeof StringMatchSchema>>
export type HTTPMatchRequest = Frozen<Static<typeof HTTPMatchRequestSchema>>
export type Destination = Frozen<Static<typeof DestinationSchema>>
export type HeaderOperations = Frozen<Static<typeof HeaderOperationsSchema>>
export type Headers = Frozen<Static<typeof HeadersSchema>>
export type HTTPRouteDestination = Frozen<Static<typeof HTTPRouteDestinationSchema>>
export type RouteDestination = Frozen<Static<typeof RouteDestinationSchema>>
export type Percent = Frozen<Static<typeof PercentSchema>>
export type HTTPRedirect = Frozen<Static<typeof HTTPRedirectSchema>>
export type HTTPDirectResponse = Frozen<Static<typeof HTTPDirectResponseSchema>>
export type HTTPRewrite = Frozen<Static<typeof HTTPRewriteSchema>>
export type HTTPRetry = Frozen<Static<typeof HTTPRetrySchema>>
export type HTTPFaultInjection = Frozen<Static<typeof HTTPFaultInjectionSchema>>
export type HTTPMirrorPolicy = Frozen<Static<typeof HTTPMirrorPolicySchema>>
export type CorsPolicy = Frozen<Static<typeof CorsPolicySchema>>
export type Delegate = Frozen<Static<typeof DelegateSchema>>
export type HTTPRoute = Frozen<Static<typeof HTTPRouteSchema>>
export type TLSMatchAttributes = Frozen<Static<typeof TLSMatchAttributesSchema>>
export type TLSRoute = Frozen<Static<typeof TLSRouteSchema>>
export type L4MatchAttributes = Frozen<Static<typeof L4MatchAttributesSchema>>
export type TCPRoute = Frozen<Static<typeof TCPRouteSchema>>
export type VirtualServiceSpec = Frozen<Static<typeof VirtualServiceSpecSchema>>
export type VirtualService = Resource<'VirtualService', VirtualServiceSpec>
