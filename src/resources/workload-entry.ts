/** WorkloadEntry: one endpoint outside Kubernetes. istio/api networking/v1alpha3/workload_entry.proto */
import { isIP } from 'node:net'
import type { Static } from 'typebox'
import { isFQDN } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings, pointerToken } from './findings.ts'
import type { Resource } from './resource.ts'
import { count, fields, type Frozen, labels, map, optional, text } from './schema.ts'
import { checkLabels, checkPort, shorten } from './rules.ts'

export const WorkloadEntrySpecSchema = fields({
  address: optional(text),
  /** Port name → number. */
  ports: optional(map(count)),
  labels: optional(labels),
  network: optional(text),
  locality: optional(text),
  weight: optional(count),
  serviceAccount: optional(text),
})

export type WorkloadEntrySpec = Frozen<Static<typeof WorkloadEntrySpecSchema>>
export type WorkloadEntry = Resource<'WorkloadEntry', WorkloadEntrySpec>

/** istio: `pkg/config/validation/validation.go`, `ValidateWorkloadEntry`. */
export function validateWorkloadEntry(entry: WorkloadEntry): Problem[] {
  const findings = createFindings(entry)
  checkWorkloadEntry(findings, 'workload-entry', '/spec', entry.spec)
  return [...findings.problems]
}

/** A WorkloadEntry, or an endpoint of a ServiceEntry (which is the same message). */
export function checkWorkloadEntry(findings: Findings, area: string, at: string, entry: WorkloadEntrySpec): void {
  const code = `${area}/address`
  const { address = '' } = entry
  if (address === '') {
    if ((entry.network ?? '') !== '')
      findings.warning(code, at, 'without an address only the gateways of its network reach this')
    else findings.error(code, at, '"address" is missing')
  } else if (address.startsWith('unix://')) {
    if (!/^unix:\/\/[/@]./.test(address)) {
      findings.error(code, `${at}/address`, `expected "unix://" and an absolute path, found "${shorten(address)}"`)
    }
    if (Object.keys(entry.ports ?? {}).length > 0) findings.error(code, `${at}/ports`, 'a Unix socket has no ports')
  } else if (isIP(address) === 0 && !isFQDN(address)) {
    findings.error(code, `${at}/address`, `"${shorten(address)}" is neither an IP address nor a host name`)
  }
  for (const [name, port] of Object.entries(entry.ports ?? {})) {
    checkPort(findings, `${area}/port`, `${at}/ports/${pointerToken(name)}`, port)
  }
  checkLabels(findings, `${area}/labels`, `${at}/labels`, entry.labels)
}
