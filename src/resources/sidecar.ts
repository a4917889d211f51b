/** Sidecar: what workloads of a namespace may reach. istio/api networking/v1alpha3/sidecar.proto */
import type { Static } from 'typebox'
import { isLabel } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings, present } from './findings.ts'
import { PortSchema, ServerTLSSettingsSchema } from './gateway.ts'
import type { Resource } from './resource.ts'
import {
  anything,
  count,
  fields,
  type Frozen,
  list,
  optional,
  text,
  texts,
  word,
  WorkloadSelectorSchema,
} from './schema.ts'
import { checkHost, checkPort, checkSelector, shorten } from './rules.ts'

const SidecarPortSchema = fields({
  number: optional(count),
  protocol: optional(text),
  name: optional(text),
  targetPort: optional(count),
})

const CaptureModeSchema = word(['DEFAULT', 'IPTABLES', 'NONE'])

const IstioIngressListenerSchema = fields({
  port: PortSchema,
  bind: optional(text),
  captureMode: optional(CaptureModeSchema),
  defaultEndpoint: optional(text),
  tls: optional(ServerTLSSettingsSchema),
  /** ConnectionPoolSettings of a DestinationRule; for sidecars alone. */
  connectionPool: optional(anything),
})

const IstioEgressListenerSchema = fields({
  port: optional(SidecarPortSchema),
  bind: optional(text),
  captureMode: optional(CaptureModeSchema),
  hosts: optional(texts),
})

export const OutboundTrafficPolicySchema = fields({
  mode: optional(word(['REGISTRY_ONLY', 'ALLOW_ANY', 'ALLOW_ANY_DYNAMIC_DNS'])),
  egressProxy: optional(
    fields({
      host: optional(text),
      subset: optional(text),
      port: optional(fields({ number: optional(count) })),
    }),
  ),
})

export const SidecarSpecSchema = fields({
  workloadSelector: optional(WorkloadSelectorSchema),
  ingress: optional(list(IstioIngressListenerSchema)),
  egress: optional(list(IstioEgressListenerSchema)),
  /** ConnectionPoolSettings of a DestinationRule; for sidecars alone. */
  inboundConnectionPool: optional(anything),
  outboundTrafficPolicy: optional(OutboundTrafficPolicySchema),
})

export type IstioIngressListener = Frozen<Static<typeof IstioIngressListenerSchema>>
export type IstioEgressListener = Frozen<Static<typeof IstioEgressListenerSchema>>
export type OutboundTrafficPolicy = Frozen<Static<typeof OutboundTrafficPolicySchema>>
export type SidecarSpec = Frozen<Static<typeof SidecarSpecSchema>>
export type Sidecar = Resource<'Sidecar', SidecarSpec>

/** istio: `pkg/config/validation/validation.go`, `ValidateSidecar`. */
export function validateSidecar(sidecar: Sidecar): Problem[] {
  const findings = createFindings(sidecar)
  const { spec } = sidecar
  checkSelector(findings, 'sidecar/workload-selector', '/spec/workloadSelector/labels', spec.workloadSelector?.labels)
  const set = present(spec, ['outboundTrafficPolicy', 'inboundConnectionPool'])
  if ((spec.egress?.length ?? 0) + (spec.ingress?.length ?? 0) + set.length === 0) {
    findings.error('sidecar/empty', '/spec', 'a Sidecar needs egress, ingress or outboundTrafficPolicy')
  }
  for (const [index, listener] of (spec.egress ?? []).entries()) {
    checkEgress(findings, `/spec/egress/${index}`, listener)
  }
  for (const [index, { port, tls }] of (spec.ingress ?? []).entries()) {
    const at = `/spec/ingress/${index}`
    checkPort(findings, 'sidecar/port', `${at}/port/number`, port.number)
    if (tls === undefined) continue
    const unsupported = present(tls, ['httpsRedirect', 'credentialName', 'credentialNames'])[0]
    if (unsupported !== undefined)
      findings.error('sidecar/tls', `${at}/tls/${unsupported}`, `${unsupported} is not possible in a Sidecar`)
    if (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL' && tls.mode !== 'OPTIONAL_MUTUAL') {
      findings.error('sidecar/tls', `${at}/tls`, 'a Sidecar ends TLS with mode SIMPLE, MUTUAL or OPTIONAL_MUTUAL')
    }
  }
  checkOutbound(findings, spec.outboundTrafficPolicy)
  return [...findings.problems]
}

function checkEgress(findings: Findings, at: string, listener: IstioEgressListener): void {
  const code = 'sidecar/egress'
  const { hosts = [] } = listener
  checkPort(findings, 'sidecar/port', `${at}/port/number`, listener.port?.number)
  if (hosts.length === 0) findings.error(code, at, '"hosts" is missing or empty')
  for (const [index, host] of hosts.entries()) {
    const hostAt = `${at}/hosts/${index}`
    const [namespace = '', name, ...rest] = host.split('/')
    if (name === undefined || name === '' || namespace === '' || rest.length > 0) {
      findings.error(code, hostAt, `expected NAMESPACE/HOST, found "${shorten(host)}"`)
      continue
    }
    if (!['*', '.', '~'].includes(namespace) && !isLabel(namespace.replace(/^~/, ''))) {
      findings.error(
        code,
        hostAt,
        `expected a namespace, "*", "." or "~" before the slash, found "${shorten(namespace)}"`,
      )
    }
    checkHost(findings, code, hostAt, name, ['any'])
  }
  if (hosts.length > 1 && hosts.includes('*/*') && !hosts.some((host) => host.startsWith('~'))) {
    findings.warning(code, `${at}/hosts`, '"*/*" makes the other hosts needless')
  }
}

function checkOutbound(findings: Findings, policy: OutboundTrafficPolicy | undefined): void {
  const at = '/spec/outboundTrafficPolicy'
  if (policy?.mode === 'ALLOW_ANY_DYNAMIC_DNS') {
    findings.error('sidecar/outbound', `${at}/mode`, 'ALLOW_ANY_DYNAMIC_DNS is possible only for the whole mesh')
  }
  if (policy?.egressProxy === undefined) return
  if (policy.mode !== 'ALLOW_ANY') {
    findings.error('sidecar/outbound', `${at}/egressProxy`, 'egressProxy needs mode: ALLOW_ANY')
  }
  const { host = '', port } = policy.egressProxy
  checkHost(findings, 'sidecar/outbound', `${at}/egressProxy/host`, host)
  checkPort(findings, 'sidecar/outbound', `${at}/egressProxy/port/number`, port?.number)
}
