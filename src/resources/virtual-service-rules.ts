/**
 * What Istio refuses in a VirtualService, and what it warns of (istio: `pkg/config/validation/validation.go`,
 * `validateVirtualService`). The rules for one http route are in `http-route-rules.ts`.
 */
import { isIP } from 'node:net'
import { covers, hostsOverlap } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings } from './findings.ts'
import { checkHTTPRoute } from './http-route-rules.ts'
import { checkGatewayNames, checkL4Match, checkWeights } from './route-rules.ts'
import { checkExportTo, checkHost } from './rules.ts'
import { checkReachability } from './unreachable-routes.ts'
import type { TLSRoute, VirtualService, VirtualServiceSpec } from './virtual-service.ts'

export function validateVirtualService(virtualService: VirtualService): Problem[] {
  const findings = createFindings(virtualService)
  const { spec, metadata } = virtualService
  const { hosts = [], gateways = [], http = [], tls = [], tcp = [] } = spec
  const isDelegate = hosts.length === 0
  const onGateway = gateways.some((gateway) => gateway !== 'mesh')
  if (isDelegate) checkDelegate(findings, spec)
  else checkHosts(findings, hosts, gateways.length === 0 || gateways.includes('mesh'))
  checkGatewayNames(findings, 'virtual-service/gateways', '/spec/gateways', gateways)
  if (http.length === 0 && tls.length === 0 && tcp.length === 0) {
    findings.error('virtual-service/routes', '/spec', 'a VirtualService needs at least one of http, tls and tcp')
  }
  for (const [index, route] of http.entries()) {
    checkHTTPRoute(findings, `/spec/http/${index}`, route, { isDelegate, onGateway })
  }
  checkReachability(findings, http)
  for (const [index, route] of tls.entries()) checkTLSRoute(findings, `/spec/tls/${index}`, route, hosts)
  for (const [index, route] of tcp.entries()) {
    const at = `/spec/tcp/${index}`
    for (const [position, match] of (route.match ?? []).entries())
      checkL4Match(findings, `${at}/match/${position}`, match)
    checkWeights(findings, at, route.route)
  }
  checkExportTo(findings, 'virtual-service/export-to', spec.exportTo, metadata.namespace)
  return [...findings.problems]
}

function checkDelegate(findings: Findings, spec: VirtualServiceSpec): void {
  for (const field of ['gateways', 'tls', 'tcp'] as const) {
    if ((spec[field]?.length ?? 0) > 0) {
      findings.error(
        'virtual-service/hosts',
        `/spec/${field}`,
        `without hosts a VirtualService is a delegate, and a delegate cannot have ${field}`,
        { remedy: 'Add hosts, unless another VirtualService delegates to this one.' },
      )
    }
  }
}

function checkHosts(findings: Findings, hosts: readonly string[], onMesh: boolean): void {
  const code = 'virtual-service/hosts'
  const seen = new Set<string>()
  const wildcards: string[] = []
  for (const [index, raw] of hosts.entries()) {
    const at = `/spec/hosts/${index}`
    const host = raw.toLowerCase()
    if (!checkHost(findings, code, at, raw, ['any', 'partial-wildcard', 'ip'])) continue
    if (host === '*' && onMesh) {
      findings.error(code, at, 'a host of "*" is not possible for sidecars (the gateway "mesh")', {
        remedy: 'Name the gateways that this is for in "gateways".',
      })
    }
    if (seen.has(host)) findings.error(code, at, `the host "${raw}" is listed twice`)
    else {
      const other = host.startsWith('*')
        ? [...seen].find((earlier) => hostsOverlap(earlier, host))
        : wildcards.find((earlier) => covers(earlier, host))
      if (other !== undefined) findings.error(code, at, `the hosts "${other}" and "${raw}" overlap`)
    }
    seen.add(host)
    if (host.startsWith('*')) wildcards.push(host)
  }
}

function checkTLSRoute(findings: Findings, at: string, route: TLSRoute, hosts: readonly string[]): void {
  const code = 'virtual-service/tls'
  if ((route.match?.length ?? 0) === 0) findings.error(code, at, 'a tls route needs "match" with sniHosts')
  for (const [index, match] of (route.match ?? []).entries()) {
    const matchAt = `${at}/match/${index}`
    if ((match.sniHosts?.length ?? 0) === 0) findings.error(code, matchAt, 'sniHosts is missing or empty')
    for (const [position, sni] of (match.sniHosts ?? []).entries()) {
      checkSNI(findings, `${matchAt}/sniHosts/${position}`, sni, hosts)
    }
    checkL4Match(findings, matchAt, match)
  }
  checkWeights(findings, at, route.route)
}

function checkSNI(findings: Findings, at: string, sni: string, hosts: readonly string[]): void {
  const code = 'virtual-service/tls'
  if (isIP(sni) !== 0) {
    findings.warning(code, at, `an address is never sent as server name: "${sni}" matches nothing`)
    return
  }
  if (!checkHost(findings, code, at, sni, ['any', 'partial-wildcard'])) return
  const name = sni.toLowerCase()
  if (!hosts.some((host) => covers(host.toLowerCase(), name))) {
    findings.error(code, at, `"${sni}" is not within the hosts of this VirtualService`)
  }
}
