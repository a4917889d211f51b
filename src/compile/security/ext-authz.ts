/**
 * External authorizers that policies with the action CUSTOM may name: the mesh's `extensionProviders`, resolved to the
 * clusters of their services.
 *
 * Source: semantics §5.9; istio: pilot/pkg/security/authz/builder/extauthz.go.
 */
import { durationMs } from '../../lib/duration.ts'
import type { AuthorizationPlan } from '../../plan/authorization.ts'
import type { ExtAuthzBodyPlan, ExtAuthzProviderPlan, HeaderNameMatch } from '../../plan/ext-authz.ts'
import type { Origin, Problem } from '../../plan/problem.ts'
import { fullHost } from '../hosts.ts'
import type { CompileOptions } from '../options.ts'
import type { ClusterReference } from '../routes/forward.ts'
import type { ServiceRegistry } from '../services/registry.ts'
import { type ExtAuthzProvider, type GrpcProvider, type HttpProvider, readProvider } from './extension-provider.ts'

export interface ExtAuthzProviders {
  /** By name; null for one that cannot be used: what a policy guards with it is then closed. */
  readonly plans: ReadonlyMap<string, ExtAuthzProviderPlan | null>
  readonly problems: readonly Problem[]
}

/** Istio's stand-in for "none", so that a DestinationRule decides. */
const DEFAULT_TIMEOUT_MS = 600_000
const DEFAULT_STATUS_ON_ERROR = 403

/** A provider that is wrong, or whose service is not known, is a problem and null; those of other kinds are null. */
export function compileExtAuthzProviders(
  { mesh, gateway }: CompileOptions,
  { services }: Pick<ServiceRegistry, 'services'>,
): ExtAuthzProviders {
  const plans = new Map<string, ExtAuthzProviderPlan | null>()
  const problems: Problem[] = []
  for (const [index, entry] of mesh.extensionProviders.entries()) {
    const pointer = `/extensionProviders/${index}`
    const report = (at: string, message: string): null => {
      const origin: Origin = { kind: 'MeshConfig', namespace: mesh.rootNamespace, name: 'mesh', pointer: pointer + at }
      problems.push({ code: 'mesh/extension-provider', severity: 'error', origin, message })
      return null
    }
    const { name } = entry
    if (typeof name !== 'string' || name === '') {
      report('/name', 'a provider needs a name')
      continue
    }
    const { provider, problems: found } = readProvider(entry, pointer, mesh.rootNamespace)
    problems.push(...found)
    if (plans.has(name)) plans.set(name, report('/name', `there are several providers with the name "${name}"`))
    else plans.set(name, provider === null ? null : resolve(name, provider))

    function resolve(name: string, provider: ExtAuthzProvider): ExtAuthzProviderPlan | null {
      const { service: written = '', port = 0 } = provider.settings
      const at = `/${provider.kind === 'http' ? 'envoyExtAuthzHttp' : 'envoyExtAuthzGrpc'}`
      const host = hostOf(written, gateway.clusterDomain)
      const service = services.get(host)
      const [namespace] = written.includes('/') ? written.split('/') : []
      if (service === undefined || host.includes('*') || (namespace !== undefined && namespace !== service.namespace)) {
        return report(`${at}/service`, `no service "${written}" is known to this gateway`)
      }
      if (!service.ports.some(({ number }) => number === port)) {
        return report(`${at}/port`, `service ${host} has no port ${port}`)
      }
      return planOf(name, provider, host, port)
    }
  }
  return { plans, problems }
}

/** The clusters of the authorizers that are asked, as the cluster builder takes them. */
export function clustersOfAuthorizers(
  { custom }: Pick<AuthorizationPlan, 'custom'>,
  rootNamespace: string,
): ClusterReference[] {
  return custom.flatMap(({ name, provider }) => {
    if (provider === null) return []
    const { cluster, host } = provider
    const origin: Origin = {
      kind: 'MeshConfig',
      namespace: rootNamespace,
      name: 'mesh',
      pointer: `/extensionProviders/${name}`,
    }
    return [{ cluster, host, port: Number(cluster.split('|')[1]), subset: '', origin }]
  })
}

/** `[NAMESPACE/]HOST`; a short name is completed where the namespace is given. */
function hostOf(service: string, clusterDomain: string): string {
  const slash = service.indexOf('/')
  return slash === -1
    ? service.toLowerCase()
    : fullHost(service.slice(slash + 1), service.slice(0, slash), clusterDomain)
}

function planOf(name: string, provider: ExtAuthzProvider, host: string, port: number): ExtAuthzProviderPlan {
  const { settings } = provider
  return {
    name,
    cluster: `outbound|${port}||${host}`,
    host,
    timeoutMs: settings.timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(settings.timeout),
    failOpen: settings.failOpen === true,
    statusOnError: settings.statusOnError ? Number(settings.statusOnError) : DEFAULT_STATUS_ON_ERROR,
    body: bodyOf(settings.includeRequestBodyInCheck),
    protocol: provider.kind === 'http' ? httpOf(provider.settings) : { kind: 'grpc' },
  }
}

function bodyOf(body: GrpcProvider['includeRequestBodyInCheck']): ExtAuthzBodyPlan | null {
  if (body === undefined) return null
  return {
    maxBytes: body.maxRequestBytes ?? 0,
    allowPartial: body.allowPartialMessage === true,
    packAsBytes: body.packAsBytes === true,
  }
}

function httpOf(settings: HttpProvider): ExtAuthzProviderPlan['protocol'] {
  const { includeRequestHeadersInCheck: included = [], includeHeadersInCheck: deprecated = [] } = settings
  const additional = Object.entries(settings.includeAdditionalHeadersInCheck ?? {})
  return {
    kind: 'http',
    pathPrefix: settings.pathPrefix ?? '',
    requestHeaders: matches(included.length > 0 ? included : deprecated),
    additionalHeaders: additional.map(([name, value]) => [name.toLowerCase(), value] as const).sort(byName),
    upstreamOnAllow: matches(settings.headersToUpstreamOnAllow),
    downstreamOnAllow: matches(settings.headersToDownstreamOnAllow),
    downstreamOnDeny: matches(settings.headersToDownstreamOnDeny),
  }
}

function matches(names: readonly string[] = []): HeaderNameMatch[] {
  return names.map((written): HeaderNameMatch => {
    const name = written.toLowerCase()
    if (name.endsWith('*')) return { kind: 'prefix', value: name.slice(0, -1) }
    return name.startsWith('*') ? { kind: 'suffix', value: name.slice(1) } : { kind: 'exact', value: name }
  })
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1
}
