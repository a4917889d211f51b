/** What Istio refuses in a DestinationRule (istio: `pkg/config/validation/validation.go`, `ValidateDestinationRule`). */
import { isFQDN, isLabel } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import type {
  ClientTLSSettings,
  ConnectionPoolSettings,
  DestinationRule,
  OutlierDetection,
  PortTrafficPolicy,
  TrafficPolicy,
} from './destination-rule.ts'
import { createFindings, type Findings, present } from './findings.ts'
import { checkLoadBalancer } from './load-balancer-rules.ts'
import { checkDuration, checkExportTo, checkHost, checkLabels, checkPort, checkSelector, shorten } from './rules.ts'

export function validateDestinationRule(rule: DestinationRule): Problem[] {
  const findings = createFindings(rule)
  const { spec, metadata } = rule
  checkHost(findings, 'destination-rule/host', '/spec/host', spec.host, ['any', 'partial-wildcard', 'ip'])
  checkTrafficPolicy(findings, '/spec/trafficPolicy', spec.trafficPolicy, metadata.namespace)
  const names = new Set<string>()
  for (const [index, subset] of (spec.subsets ?? []).entries()) {
    const at = `/spec/subsets/${index}`
    const code = 'destination-rule/subset'
    if (!isLabel(subset.name))
      findings.error(code, `${at}/name`, `"${shorten(subset.name)}" is not a name for a subset`)
    else if (names.has(subset.name))
      findings.error(code, `${at}/name`, `another subset has the name "${subset.name}" as well`)
    names.add(subset.name)
    checkLabels(findings, code, `${at}/labels`, subset.labels)
    checkTrafficPolicy(findings, `${at}/trafficPolicy`, subset.trafficPolicy, metadata.namespace)
  }
  checkExportTo(findings, 'destination-rule/export-to', spec.exportTo, metadata.namespace)
  checkWorkloadSelector(findings, rule)
  return [...findings.problems]
}

function checkWorkloadSelector(findings: Findings, { spec, metadata }: DestinationRule): void {
  if (spec.workloadSelector === undefined) return
  const code = 'destination-rule/workload-selector'
  checkSelector(findings, code, '/spec/workloadSelector/matchLabels', spec.workloadSelector.matchLabels)
  const exported = (spec.exportTo ?? []).findIndex((entry) => entry !== '.' && entry !== metadata.namespace)
  if (exported !== -1) {
    findings.error(
      code,
      `/spec/exportTo/${exported}`,
      'a rule with a workloadSelector cannot be exported to other namespaces',
    )
  }
}

const BLOCKS = ['loadBalancer', 'connectionPool', 'outlierDetection', 'tls'] as const

function checkTrafficPolicy(
  findings: Findings,
  at: string,
  policy: TrafficPolicy | undefined,
  namespace: string,
): void {
  if (policy === undefined) return
  const code = 'destination-rule/traffic-policy'
  if (present(policy, [...BLOCKS, 'portLevelSettings', 'tunnel', 'proxyProtocol', 'retryBudget']).length === 0) {
    findings.error(code, at, 'a traffic policy needs at least one field')
  }
  checkBlocks(findings, at, policy, namespace)
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) {
    findings.error(code, `${at}/proxyProtocol`, 'tunnel and proxyProtocol exclude each other')
  }
  checkTunnel(findings, `${at}/tunnel`, policy.tunnel)
  for (const [index, settings] of (policy.portLevelSettings ?? []).entries()) {
    const portAt = `${at}/portLevelSettings/${index}`
    if (settings.port?.number === undefined) findings.error(code, portAt, '"port" with its "number" is missing')
    else checkPort(findings, code, `${portAt}/port/number`, settings.port.number)
    if (present(settings, BLOCKS).length === 0)
      findings.error(code, portAt, 'settings of a port need at least one field')
    checkBlocks(findings, portAt, settings, namespace)
  }
  const percent = policy.retryBudget?.percent
  if (percent !== undefined && !(percent >= 0 && percent <= 100)) {
    findings.error(code, `${at}/retryBudget/percent`, `a percentage is a number from 0 to 100, found ${percent}`)
  }
}

function checkBlocks(
  findings: Findings,
  at: string,
  policy: TrafficPolicy | PortTrafficPolicy,
  namespace: string,
): void {
  checkLoadBalancer(findings, `${at}/loadBalancer`, policy.loadBalancer, policy.outlierDetection !== undefined)
  checkConnectionPool(findings, `${at}/connectionPool`, policy.connectionPool)
  checkOutlierDetection(findings, `${at}/outlierDetection`, policy.outlierDetection)
  checkClientTLS(findings, `${at}/tls`, policy.tls, namespace)
}

function checkTunnel(findings: Findings, at: string, tunnel: TrafficPolicy['tunnel']): void {
  if (tunnel === undefined) return
  const code = 'destination-rule/tunnel'
  const { protocol = '' } = tunnel
  if (protocol !== '' && protocol !== 'CONNECT' && protocol !== 'POST') {
    findings.error(code, `${at}/protocol`, `expected CONNECT or POST, found "${shorten(protocol)}"`)
  }
  if (tunnel.targetHost === '' || tunnel.targetHost.startsWith('*')) {
    findings.error(
      code,
      `${at}/targetHost`,
      `expected a host name or an address, found "${shorten(tunnel.targetHost)}"`,
    )
  } else checkHost(findings, code, `${at}/targetHost`, tunnel.targetHost, ['ip'])
  checkPort(findings, code, `${at}/targetPort`, tunnel.targetPort)
}

function checkConnectionPool(findings: Findings, at: string, pool: ConnectionPoolSettings | undefined): void {
  if (pool === undefined) return
  const code = 'destination-rule/connection-pool'
  const { tcp, http } = pool
  if (tcp === undefined && http === undefined) findings.error(code, at, 'a connection pool needs tcp or http')
  checkNotNegative(findings, code, `${at}/tcp`, { maxConnections: tcp?.maxConnections })
  checkDuration(findings, code, `${at}/tcp/connectTimeout`, tcp?.connectTimeout)
  checkDuration(findings, code, `${at}/tcp/maxConnectionDuration`, tcp?.maxConnectionDuration)
  checkDuration(findings, code, `${at}/tcp/idleTimeout`, tcp?.idleTimeout, 'zero')
  checkDuration(findings, code, `${at}/tcp/tcpKeepalive/time`, tcp?.tcpKeepalive?.time)
  checkDuration(findings, code, `${at}/tcp/tcpKeepalive/interval`, tcp?.tcpKeepalive?.interval)
  if (http === undefined) return
  checkNotNegative(findings, code, `${at}/http`, {
    http1MaxPendingRequests: http.http1MaxPendingRequests,
    http2MaxRequests: http.http2MaxRequests,
    maxRequestsPerConnection: http.maxRequestsPerConnection,
    maxRetries: http.maxRetries,
    maxConcurrentStreams: http.maxConcurrentStreams,
  })
  // 0s switches it off, as in tcp; Istio refuses it here, and takes it there.
  checkDuration(findings, code, `${at}/http/idleTimeout`, http.idleTimeout, 'zero')
  if (http.useClientProtocol === true && http.h2UpgradePolicy === 'UPGRADE') {
    findings.error(
      code,
      `${at}/http/h2UpgradePolicy`,
      'useClientProtocol and h2UpgradePolicy: UPGRADE exclude each other',
    )
  }
  const keepAlive = http.http2KeepAlive
  if (keepAlive === undefined) return
  for (const field of ['interval', 'timeout'] as const) {
    if (keepAlive[field] === undefined) findings.error(code, `${at}/http/http2KeepAlive`, `"${field}" is missing`)
    checkDuration(findings, code, `${at}/http/http2KeepAlive/${field}`, keepAlive[field])
  }
}

function checkNotNegative(
  findings: Findings,
  code: string,
  at: string,
  values: Readonly<Record<string, number | undefined>>,
): void {
  for (const [field, value] of Object.entries(values)) {
    if (value !== undefined && value < 0)
      findings.error(code, `${at}/${field}`, `${field} is 0 or more, found ${value}`)
  }
}

function checkOutlierDetection(findings: Findings, at: string, outlier: OutlierDetection | undefined): void {
  if (outlier === undefined) return
  const code = 'destination-rule/outlier-detection'
  for (const field of ['maxEjectionPercent', 'minHealthPercent'] as const) {
    const value = outlier[field]
    if (value !== undefined && (value < 0 || value > 100)) {
      findings.error(code, `${at}/${field}`, `a percentage is from 0 to 100, found ${value}`)
    }
  }
  checkDuration(findings, code, `${at}/interval`, outlier.interval)
  checkDuration(findings, code, `${at}/baseEjectionTime`, outlier.baseEjectionTime)
  if ((outlier.consecutiveLocalOriginFailures ?? 0) > 0 && outlier.splitExternalLocalOriginErrors !== true) {
    findings.error(
      code,
      `${at}/consecutiveLocalOriginFailures`,
      'consecutiveLocalOriginFailures counts only with splitExternalLocalOriginErrors: true',
    )
  }
  if (outlier.consecutiveErrors !== undefined) {
    findings.warning(
      'schema/deprecated',
      `${at}/consecutiveErrors`,
      'consecutiveErrors is deprecated and has no effect',
      {
        istioCode: 'IST0002',
        remedy: 'Write consecutiveGatewayErrors or consecutive5xxErrors.',
      },
    )
  }
}

const FILES = ['clientCertificate', 'privateKey', 'caCertificates'] as const

function checkClientTLS(findings: Findings, at: string, tls: ClientTLSSettings | undefined, namespace: string): void {
  if (tls === undefined) return
  const code = 'destination-rule/tls'
  const files = present(tls, FILES)
  const credential = tls.credentialName ?? ''
  if (tls.insecureSkipVerify === true) {
    const verifying = present(tls, ['caCertificates', 'subjectAltNames'])[0]
    if (verifying !== undefined) {
      findings.error(
        code,
        `${at}/${verifying}`,
        `with insecureSkipVerify nothing is verified: "${verifying}" cannot be set`,
      )
    }
  }
  if (tls.mode === 'ISTIO_MUTUAL') {
    const other = present(tls, [...FILES, 'credentialName'])[0]
    if (other !== undefined) {
      findings.error(
        code,
        `${at}/${other}`,
        `with ISTIO_MUTUAL the mesh gives the certificates: "${other}" cannot be set`,
      )
    }
    return
  }
  if (credential !== '') {
    if (files[0] !== undefined)
      findings.error(code, `${at}/${files[0]}`, `credentialName and ${files[0]} exclude each other`)
    checkConfigMapCredential(findings, `${at}/credentialName`, credential, namespace)
  } else if (tls.mode === 'MUTUAL') {
    for (const field of ['clientCertificate', 'privateKey'] as const) {
      if ((tls[field] ?? '') === '') findings.error(code, at, `MUTUAL needs ${field}, or credentialName`)
    }
  }
}

function checkConfigMapCredential(findings: Findings, at: string, credential: string, namespace: string): void {
  if (!credential.startsWith('configmap://')) return
  const [from, name = ''] = credential.slice('configmap://'.length).split('/')
  if (from !== namespace || !isFQDN(name)) {
    findings.error('destination-rule/tls', at, `expected configmap://${namespace}/NAME, found "${shorten(credential)}"`)
  }
}
