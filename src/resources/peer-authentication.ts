/** PeerAuthentication: mutual TLS towards workloads. istio/api security/v1beta1/peer_authentication.proto */
import type { Static } from 'typebox'
import type { Problem } from '../plan/problem.ts'
import { createFindings, pointerToken } from './findings.ts'
import type { Resource } from './resource.ts'
import { fields, type Frozen, map, optional, PolicySelectorSchema, word } from './schema.ts'
import { checkSelector } from './rules.ts'

const MutualTLSSchema = fields({ mode: optional(word(['UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT'])) })

export const PeerAuthenticationSpecSchema = fields({
  selector: optional(PolicySelectorSchema),
  mtls: optional(MutualTLSSchema),
  /** Keys are port numbers as text. */
  portLevelMtls: optional(map(MutualTLSSchema)),
})

export type MutualTLS = Frozen<Static<typeof MutualTLSSchema>>
export type PeerAuthenticationSpec = Frozen<Static<typeof PeerAuthenticationSpecSchema>>
export type PeerAuthentication = Resource<'PeerAuthentication', PeerAuthenticationSpec>

/** istio: `pkg/config/validation/validation.go`, `ValidatePeerAuthentication`. */
export function validatePeerAuthentication(policy: PeerAuthentication): Problem[] {
  const findings = createFindings(policy)
  const { selector, portLevelMtls } = policy.spec
  checkSelector(findings, 'peer-authentication/selector', '/spec/selector/matchLabels', selector?.matchLabels)
  if (portLevelMtls === undefined) return [...findings.problems]
  const code = 'peer-authentication/port'
  const at = '/spec/portLevelMtls'
  const ports = Object.keys(portLevelMtls)
  if (ports.length === 0) findings.error(code, at, 'portLevelMtls needs at least one port')
  if (Object.keys(selector?.matchLabels ?? {}).length === 0) {
    findings.error(code, at, 'portLevelMtls needs a selector')
  }
  for (const port of ports) {
    if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535) {
      findings.error(code, `${at}/${pointerToken(port)}`, `a port is a number from 1 to 65535, found "${port}"`)
    }
  }
  return [...findings.problems]
}
