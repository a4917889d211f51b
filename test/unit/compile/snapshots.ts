/** Snapshots for tests of the compiler, from resources as they are written. */
import {
  type AnyResource,
  EMPTY_SNAPSHOT,
  type Kind,
  type RejectedSecurityPolicy,
  type ResourcesByKind,
  type Snapshot,
  SNAPSHOT_FIELD,
} from '../../../src/resources/snapshot.ts'
import { compareResources, type Resource } from '../../../src/resources/resource.ts'
import type { Gateway, Server } from '../../../src/resources/gateway.ts'
import type { HTTPRoute, VirtualService, VirtualServiceSpec } from '../../../src/resources/virtual-service.ts'
import type { ServiceEntry, ServiceEntrySpec } from '../../../src/resources/service-entry.ts'
import type { DestinationRule, DestinationRuleSpec } from '../../../src/resources/destination-rule.ts'

export interface About {
  readonly namespace?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly creationTimestamp?: string
}

export function resource<K extends Kind>(
  kind: K,
  name: string,
  spec: ResourcesByKind[K]['spec'],
  about: About = {},
): ResourcesByKind[K] {
  const { namespace = 'default', labels = {}, annotations = {}, creationTimestamp } = about
  const metadata = {
    name,
    namespace,
    labels,
    annotations,
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  }
  const made: Resource<K, ResourcesByKind[K]['spec']> = { apiVersion: 'v1', kind, metadata, spec }
  return made as unknown as ResourcesByKind[K]
}

export function snapshotOf(
  resources: readonly AnyResource[],
  rejected: readonly RejectedSecurityPolicy[] = [],
): Snapshot {
  const fields: Record<string, AnyResource[]> = {}
  for (const object of resources) (fields[SNAPSHOT_FIELD[object.kind as Kind]] ??= []).push(object)
  for (const list of Object.values(fields)) list.sort(compareResources)
  return { ...EMPTY_SNAPSHOT, ...fields, rejectedSecurityPolicies: rejected }
}

export function httpServer(hosts: readonly string[] = ['*'], number = 80): Server {
  return { port: { number, name: `http-${number}`, protocol: 'HTTP' }, hosts }
}

export function httpsServer(
  hosts: readonly string[],
  credentialName: string,
  number = 443,
  name = `https-${number}`,
): Server {
  return { port: { number, name, protocol: 'HTTPS' }, hosts, tls: { mode: 'SIMPLE', credentialName } }
}

export function gateway(
  servers: readonly Server[] = [httpServer()],
  name = 'gw',
  about: About = { namespace: 'istio-system' },
): Gateway {
  return resource('Gateway', name, { servers, selector: { istio: 'ingressgateway' } }, about)
}

export function virtualService(
  name: string,
  hosts: readonly string[],
  http: readonly HTTPRoute[],
  { spec, ...about }: About & { readonly spec?: Partial<VirtualServiceSpec> } = {},
): VirtualService {
  return resource('VirtualService', name, { hosts, gateways: ['istio-system/gw'], http, ...spec }, about)
}

export function to(host: string, port?: number): HTTPRoute {
  return { route: [{ destination: port === undefined ? { host } : { host, port: { number: port } } }] }
}

export function serviceEntry(
  host: string,
  spec: Partial<ServiceEntrySpec> = {},
  about: About & { readonly name?: string } = {},
): ServiceEntry {
  return resource(
    'ServiceEntry',
    about.name ?? host.replaceAll('.', '-').replaceAll('*', 'any'),
    {
      hosts: [host],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'STATIC',
      endpoints: [{ address: '10.0.0.1' }],
      ...spec,
    },
    about,
  )
}

export function destinationRule(name: string, spec: DestinationRuleSpec, about: About = {}): DestinationRule {
  return resource('DestinationRule', name, spec, about)
}
