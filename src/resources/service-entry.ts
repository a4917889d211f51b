/** ServiceEntry: a service that is not in Kubernetes' registry. istio/api networking/v1alpha3/service_entry.proto */
import { isIP } from 'node:net'
import type { Static } from 'typebox'
import { hostSyntax, isCIDR, isFQDN, isLabel } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings } from './findings.ts'
import { PROTOCOLS } from './gateway.ts'
import type { Resource } from './resource.ts'
import { count, fields, type Frozen, list, optional, text, texts, word, WorkloadSelectorSchema } from './schema.ts'
import { checkExportTo, checkHost, checkPort, checkSelector, shorten } from './rules.ts'
import { checkWorkloadEntry, type WorkloadEntrySpec, WorkloadEntrySpecSchema } from './workload-entry.ts'

const ServicePortSchema = fields({
  number: count,
  protocol: optional(text),
  name: text,
  targetPort: optional(count),
})

export const ServiceEntrySpecSchema = fields({
  hosts: texts,
  addresses: optional(texts),
  ports: optional(list(ServicePortSchema)),
  location: optional(word(['MESH_EXTERNAL', 'MESH_INTERNAL'])),
  resolution: optional(word(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN', 'DYNAMIC_DNS'])),
  endpoints: optional(list(WorkloadEntrySpecSchema)),
  workloadSelector: optional(WorkloadSelectorSchema),
  exportTo: optional(texts),
  subjectAltNames: optional(texts),
})

/** A port of a ServiceEntry (Istio's message `ServicePort`). */
export type ServiceEntryPort = Frozen<Static<typeof ServicePortSchema>>
export type ServiceEntrySpec = Frozen<Static<typeof ServiceEntrySpecSchema>>
export type ServiceEntry = Resource<'ServiceEntry', ServiceEntrySpec>

const isDNS = (resolution: string) => resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN'

/** istio: `pkg/config/validation/validation.go`, `ValidateServiceEntry`. */
export function validateServiceEntry(entry: ServiceEntry): Problem[] {
  const findings = createFindings(entry)
  const { spec, metadata } = entry
  const { resolution = 'NONE' } = spec
  checkHosts(findings, spec.hosts)
  for (const [index, address] of (spec.addresses ?? []).entries()) {
    checkAddress(findings, `/spec/addresses/${index}`, address, resolution)
  }
  checkPorts(findings, spec, resolution)
  if ((spec.endpoints?.length ?? 0) > 0 && spec.workloadSelector !== undefined) {
    findings.error(
      'service-entry/endpoints',
      '/spec/workloadSelector',
      'endpoints and workloadSelector exclude each other',
    )
  }
  checkSelector(
    findings,
    'service-entry/workload-selector',
    '/spec/workloadSelector/labels',
    spec.workloadSelector?.labels,
  )
  checkEndpoints(findings, spec, resolution)
  if (resolution === 'DYNAMIC_DNS') checkDynamicDNS(findings, spec)
  checkExportTo(findings, 'service-entry/export-to', spec.exportTo, metadata.namespace, 'tilde')
  return [...findings.problems]
}

function checkHosts(findings: Findings, hosts: readonly string[]): void {
  const code = 'service-entry/hosts'
  if (hosts.length === 0) findings.error(code, '/spec/hosts', 'a ServiceEntry needs at least one host')
  for (const [index, host] of hosts.entries()) {
    const at = `/spec/hosts/${index}`
    if (checkHost(findings, code, at, host, ['partial-wildcard']) && hostSyntax(host) === 'partial-wildcard') {
      findings.warning(code, at, `a wildcard stands for whole labels ("*.example.com"), found "${host}"`)
    }
  }
}

function checkAddress(findings: Findings, at: string, address: string, resolution: string): void {
  const code = 'service-entry/addresses'
  if (!isCIDR(address)) {
    findings.error(code, at, `expected an IP address or a block such as 10.0.0.0/8, found "${shorten(address)}"`)
  } else if (address.includes('/') && isDNS(resolution)) {
    findings.error(code, at, `a block of addresses is not possible with resolution ${resolution}`)
  }
}

function checkPorts(findings: Findings, spec: ServiceEntrySpec, resolution: string): void {
  const code = 'service-entry/port'
  const { ports = [], hosts, addresses = [] } = spec
  const [names, numbers] = [new Set<string>(), new Set<number>()]
  let told = true
  for (const [index, port] of ports.entries()) {
    const at = `/spec/ports/${index}`
    checkPort(findings, code, `${at}/number`, port.number)
    checkPort(findings, code, `${at}/targetPort`, port.targetPort)
    if (!isLabel(port.name)) findings.error(code, `${at}/name`, `"${shorten(port.name)}" is not a name for a port`)
    else if (names.has(port.name))
      findings.error(code, `${at}/name`, `another port has the name "${port.name}" as well`)
    if (numbers.has(port.number))
      findings.error(code, `${at}/number`, `another port has the number ${port.number} as well`)
    names.add(port.name)
    numbers.add(port.number)
    const protocol = (port.protocol ?? '').toLowerCase()
    const known = protocol === '' || protocol === 'udp' ? 'tcp' : PROTOCOLS[protocol]
    if (known === undefined)
      findings.error(code, `${at}/protocol`, `"${shorten(port.protocol ?? '')}" is not a protocol`)
    if (known !== 'tcp') continue
    told = false
    if (addresses.length === 0 && (resolution === 'NONE' || hosts.some((host) => host.startsWith('*')))) {
      findings.warning(code, at, 'a TCP port without addresses takes the connections to this port of every address', {
        istioCode: 'IST0134',
      })
    }
  }
  if (hosts.length > 1 && !told && resolution !== 'NONE') {
    findings.error('service-entry/hosts', '/spec/hosts', 'several hosts are told apart only on HTTP and TLS ports', {
      remedy: 'Write a ServiceEntry for each host.',
    })
  }
}

function checkEndpoints(findings: Findings, spec: ServiceEntrySpec, resolution: string): void {
  const code = 'service-entry/endpoints'
  const { endpoints = [], ports = [], hosts } = spec
  const at = '/spec/endpoints'
  if (resolution === 'NONE') {
    if (endpoints.length > 0) {
      findings.error(
        code,
        at,
        'with resolution NONE connections go where the client meant them to: endpoints have no place',
        {
          remedy: 'Write resolution: STATIC for addresses, DNS for names.',
        },
      )
    }
    if (spec.workloadSelector !== undefined) {
      findings.warning(code, '/spec/workloadSelector', 'with resolution NONE a workloadSelector has no effect')
    }
  }
  if (isDNS(resolution) && endpoints.length === 0 && spec.workloadSelector === undefined) {
    const wildcard = hosts.find((host) => host.startsWith('*'))
    if (wildcard !== undefined) {
      findings.error(
        code,
        '/spec',
        `"${wildcard}" cannot be looked up in DNS: resolution ${resolution} needs endpoints`,
      )
    }
  }
  if (resolution === 'DNS_ROUND_ROBIN' && endpoints.length > 1) {
    findings.error(code, `${at}/1`, 'DNS_ROUND_ROBIN takes one endpoint')
  }
  const names = new Set(ports.map(({ name }) => name))
  for (const [index, endpoint] of endpoints.entries()) {
    checkEndpoint(findings, `${at}/${index}`, endpoint, resolution, names)
  }
}

function checkEndpoint(
  findings: Findings,
  at: string,
  endpoint: WorkloadEntrySpec,
  resolution: string,
  portNames: ReadonlySet<string>,
): void {
  const code = 'service-entry/endpoints'
  checkWorkloadEntry(findings, 'service-entry', at, endpoint)
  const { address = '' } = endpoint
  const unix = address.startsWith('unix://')
  if (resolution === 'STATIC' && address !== '' && !unix && isIP(address) === 0) {
    findings.error(
      code,
      `${at}/address`,
      `with resolution STATIC an endpoint is an IP address, found "${shorten(address)}"`,
      {
        remedy: 'Write resolution: DNS for names.',
      },
    )
  }
  if (isDNS(resolution) && address !== '' && isIP(address) === 0 && !isFQDN(address)) {
    findings.error(code, `${at}/address`, `with resolution ${resolution} an endpoint is a host name or an IP address`)
  }
  if (unix && portNames.size > 1) findings.error(code, `${at}/address`, 'a Unix socket serves one port alone')
  for (const name of Object.keys(endpoint.ports ?? {})) {
    if (!portNames.has(name))
      findings.error(code, `${at}/ports`, `the ServiceEntry has no port named "${shorten(name)}"`)
  }
}

function checkDynamicDNS(findings: Findings, spec: ServiceEntrySpec): void {
  const code = 'service-entry/dynamic-dns'
  for (const [index, host] of spec.hosts.entries()) {
    if (!host.startsWith('*'))
      findings.error(code, `/spec/hosts/${index}`, `DYNAMIC_DNS is for wildcard hosts, found "${host}"`)
  }
  if ((spec.addresses?.length ?? 0) > 0) findings.error(code, '/spec/addresses', 'DYNAMIC_DNS takes no addresses')
  if ((spec.endpoints?.length ?? 0) > 0) findings.error(code, '/spec/endpoints', 'DYNAMIC_DNS takes no endpoints')
  for (const [index, { protocol = '' }] of (spec.ports ?? []).entries()) {
    if (!['http', 'http2', 'grpc', 'tls'].includes(protocol.toLowerCase())) {
      findings.error(
        code,
        `/spec/ports/${index}/protocol`,
        `DYNAMIC_DNS is for HTTP, HTTP2, GRPC and TLS, found "${shorten(protocol)}"`,
      )
    }
  }
}
