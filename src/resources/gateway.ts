/** Gateway: which ports a gateway opens, for which hosts, with which certificates. istio/api networking/v1alpha3/gateway.proto */
import { isIP } from 'node:net'
import type { Static } from 'typebox'
import type { Problem } from '../plan/problem.ts'
import { isDNSLabel, isLabel } from '../lib/names.ts'
import { createFindings, type Findings, present } from './findings.ts'
import type { Resource } from './resource.ts'
import { count, fields, flag, type Frozen, labels, list, optional, text, texts, word } from './schema.ts'
import { checkHost, checkPort, checkSelector } from './rules.ts'

const TLSProtocolSchema = word(['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'])

export const PortSchema = fields({
  number: count,
  protocol: text,
  name: text,
  /** Deprecated, and refused on a gateway. */
  targetPort: optional(count),
})

export const ServerTLSSettingsSchema = fields({
  httpsRedirect: optional(flag),
  mode: optional(word(['PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL'])),
  serverCertificate: optional(text),
  privateKey: optional(text),
  caCertificates: optional(text),
  caCrl: optional(text),
  tlsCertificates: optional(
    list(
      fields({
        serverCertificate: optional(text),
        privateKey: optional(text),
        caCertificates: optional(text),
      }),
    ),
  ),
  credentialName: optional(text),
  credentialNames: optional(texts),
  caCertCredentialName: optional(text),
  subjectAltNames: optional(texts),
  verifyCertificateSpki: optional(texts),
  verifyCertificateHash: optional(texts),
  insecureSkipVerify: optional(flag),
  minProtocolVersion: optional(TLSProtocolSchema),
  maxProtocolVersion: optional(TLSProtocolSchema),
  cipherSuites: optional(texts),
  ecdhCurves: optional(texts),
})

const ServerSchema = fields({
  port: PortSchema,
  bind: optional(text),
  hosts: texts,
  tls: optional(ServerTLSSettingsSchema),
  defaultEndpoint: optional(text),
  name: optional(text),
})

export const GatewaySpecSchema = fields({
  servers: optional(list(ServerSchema)),
  selector: optional(labels),
})

export type Port = Frozen<Static<typeof PortSchema>>
export type TLSProtocol = Static<typeof TLSProtocolSchema>
export type ServerTLSSettings = Frozen<Static<typeof ServerTLSSettingsSchema>>
export type Server = Frozen<Static<typeof ServerSchema>>
export type GatewaySpec = Frozen<Static<typeof GatewaySpecSchema>>
export type Gateway = Resource<'Gateway', GatewaySpec>

export type ProtocolClass = 'http' | 'tls' | 'tcp'

/** Istio's names of protocols, lower case, by what they mean to a listener (istio: `pkg/config/protocol/instance.go`). */
export const PROTOCOLS: Readonly<Record<string, ProtocolClass>> = {
  http: 'http',
  http2: 'http',
  grpc: 'http',
  'grpc-web': 'http',
  http_proxy: 'http',
  https: 'tls',
  tls: 'tls',
  tcp: 'tcp',
  mongo: 'tcp',
  mysql: 'tcp',
  redis: 'tcp',
}

/** Those that a server may choose; TLS 1.3's own cannot be. istio: `pkg/config/security/security.go`, `ValidCipherSuites`. */
export const CIPHER_SUITES: readonly string[] = [
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'AES256-GCM-SHA384',
  'AES128-GCM-SHA256',
  'AES256-SHA',
  'AES128-SHA',
  'DES-CBC3-SHA',
]

/** Groups for the key exchange, by OpenSSL's names. istio: `pkg/config/security/security.go`, `ValidECDHCurves`. */
export const ECDH_CURVES: readonly string[] = ['P-256', 'P-384', 'P-521', 'X25519', 'X25519MLKEM768']

/** istio: `pkg/config/validation/validation.go`, `ValidateGateway`. */
export function validateGateway(gateway: Gateway): Problem[] {
  const findings = createFindings(gateway)
  const { servers = [], selector } = gateway.spec
  if (!isDNSLabel(gateway.metadata.name)) {
    findings.error(
      'gateway/name',
      '/metadata/name',
      `the name of a Gateway is one DNS label, found "${gateway.metadata.name}"`,
    )
  }
  if (servers.length === 0) findings.error('gateway/servers', '/spec', 'a Gateway needs at least one server')
  checkSelector(findings, 'gateway/selector', '/spec/selector', selector, 'fine')
  const portNames = new Set<string>()
  for (const [index, server] of servers.entries()) {
    const at = `/spec/servers/${index}`
    checkServer(findings, at, server)
    if (portNames.has(server.port.name)) {
      findings.error(
        'gateway/port',
        `${at}/port/name`,
        `another server's port has the name "${server.port.name}" as well`,
      )
    }
    portNames.add(server.port.name)
  }
  return [...findings.problems]
}

function checkServer(findings: Findings, at: string, server: Server): void {
  const { port, bind = '' } = server
  const unix = bind.startsWith('unix://')
  if (port.name === '') findings.error('gateway/port', `${at}/port/name`, 'a port needs a name')
  if (port.targetPort !== undefined) {
    findings.error('gateway/port', `${at}/port/targetPort`, 'targetPort has no effect on a Gateway')
  }
  if (!unix) checkPort(findings, 'gateway/port', `${at}/port/number`, port.number)
  else if (port.number !== 0) {
    findings.error('gateway/port', `${at}/port/number`, 'a server on a Unix socket has the port number 0')
  }
  if (bind !== '' && isIP(bind) === 0 && !/^unix:\/\/(?:\/|@.)/.test(bind)) {
    findings.error(
      'gateway/bind',
      `${at}/bind`,
      `expected an IP address, "unix:///" and a path, or "unix://@" and a name; found "${bind}"`,
    )
  }
  const protocol = PROTOCOLS[port.protocol.toLowerCase()]
  if (protocol === undefined) {
    findings.error(
      'gateway/protocol',
      `${at}/port/protocol`,
      `"${port.protocol}" is not a protocol that a Gateway knows`,
      {
        remedy: `It knows ${Object.keys(PROTOCOLS).join(', ').toUpperCase()}.`,
      },
    )
  } else {
    checkTLSPresence(findings, at, server, protocol)
  }
  if (server.tls !== undefined) checkServerTLS(findings, `${at}/tls`, server.tls)
  if (server.hosts.length === 0) findings.error('gateway/hosts', `${at}/hosts`, 'a server needs at least one host')
  for (const [index, host] of server.hosts.entries()) checkServerHost(findings, `${at}/hosts/${index}`, host)
}

function checkServerHost(findings: Findings, at: string, text: string): void {
  const parts = text.split('/')
  if (parts.length > 2 || parts.some((part) => part === '')) {
    findings.error('gateway/hosts', at, `expected HOST or NAMESPACE/HOST, found "${text}"`)
    return
  }
  const [host, namespace] = [parts.at(-1) ?? '', parts.length === 2 ? parts[0] : undefined]
  if (namespace !== undefined && namespace !== '*' && namespace !== '.' && !isLabel(namespace)) {
    findings.error('gateway/hosts', at, `expected a namespace, "*" or "." before the slash, found "${namespace}"`)
  }
  const valid = checkHost(findings, 'gateway/hosts', at, host, ['any', 'ip'])
  if (valid && host !== '*' && !host.includes('.') && isIP(host) === 0) {
    findings.error('gateway/hosts', at, `the short name "${host}" is not possible here`, {
      remedy: 'Write the whole name, with its domain.',
    })
  }
}

function checkTLSPresence(findings: Findings, at: string, server: Server, protocol: ProtocolClass): void {
  const { tls, port } = server
  if (tls === undefined) {
    if (protocol === 'tls') {
      findings.error('gateway/tls', at, `a server with protocol ${port.protocol} needs "tls"`, {
        remedy: 'For example tls: { mode: SIMPLE, credentialName: NAME-OF-A-SECRET }.',
      })
    }
    return
  }
  if (protocol === 'tcp') {
    findings.error('gateway/tls', `${at}/tls`, `a server with protocol ${port.protocol} cannot have "tls"`, {
      remedy: 'With protocol TLS the gateway ends TLS and goes on with tcp routes.',
    })
  } else if (protocol === 'http') {
    const others = Object.keys(tls).filter(
      (key) => key !== 'httpsRedirect' && !(key === 'mode' && tls.mode === 'PASSTHROUGH'),
    )
    if (others.length > 0) {
      findings.error(
        'gateway/tls',
        `${at}/tls/${others[0]}`,
        `a server with protocol ${port.protocol} is plain text: in "tls" it can have httpsRedirect alone`,
        { remedy: 'For TLS use protocol HTTPS.' },
      )
    }
  }
  if (tls.httpsRedirect === true && protocol !== 'http') {
    findings.warning(
      'gateway/tls',
      `${at}/tls/httpsRedirect`,
      'httpsRedirect has an effect only on a plain HTTP server',
    )
  }
}

const FILE_FIELDS = ['serverCertificate', 'privateKey', 'caCertificates'] as const
const CERTIFICATE_FIELDS = [...FILE_FIELDS, 'tlsCertificates', 'credentialName', 'credentialNames'] as const

function checkServerTLS(findings: Findings, at: string, tls: ServerTLSSettings): void {
  const code = 'gateway/tls'
  const given = present(tls, CERTIFICATE_FIELDS)
  const mode = tls.mode ?? 'PASSTHROUGH'
  checkCiphers(findings, at, tls)
  checkHashes(findings, at, tls)
  if (mode === 'ISTIO_MUTUAL') {
    if (given[0] !== undefined) {
      findings.error(
        code,
        `${at}/${given[0]}`,
        `with ISTIO_MUTUAL the mesh gives the certificates: "${given[0]}" cannot be set`,
      )
    }
    return
  }
  if (mode === 'PASSTHROUGH' || mode === 'AUTO_PASSTHROUGH') {
    if (given[0] !== undefined) {
      findings.warning(
        code,
        `${at}/${given[0]}`,
        `with ${mode} TLS is not ended here, so certificates have no effect`,
        {
          remedy: tls.mode === undefined ? 'PASSTHROUGH is the default; set mode: SIMPLE to end TLS here.' : undefined,
        },
      )
    }
    return
  }
  checkCertificateSource(findings, at, tls, mode)
}

function checkCertificateSource(findings: Findings, at: string, tls: ServerTLSSettings, mode: string): void {
  const code = 'gateway/tls'
  const sources = [
    ...present(tls, ['credentialName', 'credentialNames', 'tlsCertificates']),
    ...present(tls, ['serverCertificate', 'privateKey']).slice(0, 1),
  ]
  if (sources.length > 1) {
    findings.error(code, `${at}/${sources[1]}`, `certificates come from one place: "${sources[0]}" or "${sources[1]}"`)
  }
  const credentials = tls.credentialName !== undefined || tls.credentialNames !== undefined
  const mutual = mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL'
  if (tls.caCrl !== undefined && (credentials || mode === 'SIMPLE')) {
    findings.error(
      code,
      `${at}/caCrl`,
      credentials
        ? 'with a credential the CRL is in its Secret'
        : 'SIMPLE asks for no client certificate, so it has no use for a CRL',
    )
  }
  if ((tls.tlsCertificates?.length ?? 0) > 2) {
    findings.warning(code, `${at}/tlsCertificates`, 'two certificates (RSA and ECDSA) are used at most')
  }
  if ((tls.credentialNames?.length ?? 0) > 2) {
    findings.error(code, `${at}/credentialNames`, 'two credentials (RSA and ECDSA) are possible at most')
  }
  for (const [index, pair] of (tls.tlsCertificates ?? []).entries()) {
    checkPair(findings, `${at}/tlsCertificates/${index}`, pair)
  }
  if (credentials) return
  if (tls.tlsCertificates === undefined) checkPair(findings, at, tls)
  if (mutual && (tls.caCertificates ?? '') === '' && (tls.caCertCredentialName ?? '') === '') {
    findings.error(code, at, `${mode} needs caCertificates to verify clients with`)
  }
}

/** What does not have a hash's form would match no certificate, ever. */
function checkHashes(findings: Findings, at: string, tls: ServerTLSSettings): void {
  for (const [index, hash] of (tls.verifyCertificateSpki ?? []).entries()) {
    if (/^[A-Za-z0-9+/]{43}=$/.test(hash)) continue
    findings.error(
      'gateway/tls',
      `${at}/verifyCertificateSpki/${index}`,
      `expected a SHA-256 of a public key in base64 (44 characters), found "${hash}"`,
    )
  }
  for (const [index, hash] of (tls.verifyCertificateHash ?? []).entries()) {
    if (/^[0-9a-fA-F]{64}$/.test(hash.replaceAll(':', ''))) continue
    findings.error(
      'gateway/tls',
      `${at}/verifyCertificateHash/${index}`,
      `expected a SHA-256 of a certificate in hexadecimal (64 digits, with or without colons), found "${hash}"`,
    )
  }
}

function checkPair(findings: Findings, at: string, pair: { serverCertificate?: string; privateKey?: string }): void {
  const missing = (['serverCertificate', 'privateKey'] as const).filter((field) => (pair[field] ?? '') === '')
  if (missing.length > 0) {
    findings.error('gateway/tls', at, `${missing.join(' and ')} missing`, {
      remedy: 'Give a certificate by credentialName (a Secret) or by the files serverCertificate and privateKey.',
    })
  }
}

function checkCiphers(findings: Findings, at: string, tls: ServerTLSSettings): void {
  const seen = new Set<string>()
  for (const [index, suite] of (tls.cipherSuites ?? []).entries()) {
    const reason = !CIPHER_SUITES.includes(suite) ? 'is not known' : seen.has(suite) ? 'is listed twice' : undefined
    if (reason !== undefined) {
      findings.warning(
        'gateway/tls',
        `${at}/cipherSuites/${index}`,
        `the cipher suite "${suite}" ${reason}; it is ignored`,
      )
    }
    seen.add(suite)
  }
  for (const [index, curve] of (tls.ecdhCurves ?? []).entries()) {
    if (ECDH_CURVES.includes(curve)) continue
    findings.warning(
      'gateway/tls',
      `${at}/ecdhCurves/${index}`,
      `the curve "${curve}" is not known; it is ignored (known are ${ECDH_CURVES.join(', ')})`,
    )
  }
  const old = tls.minProtocolVersion === 'TLSV1_0' || tls.minProtocolVersion === 'TLSV1_1'
  if (old && (tls.cipherSuites?.length ?? 0) === 0) {
    findings.warning('gateway/tls', `${at}/minProtocolVersion`, 'the default cipher suites do not fit TLS before 1.2', {
      remedy: 'List cipherSuites that do.',
    })
  }
}
