/**
 * Which certificates have to be ordered: those that a Gateway server names in `credentialName`, for which there is no
 * Secret, and whose Gateway names an issuer. Nothing is ever ordered for a host that no server lists.
 */
import { hostSyntax } from '../../lib/names.ts'
import { nearest } from '../../lib/nearest.ts'
import type { AcmeCertificatePlan } from '../../plan/acme.ts'
import type { Problem } from '../../plan/problem.ts'
import type { Gateway } from '../../resources/gateway.ts'
import { secretName } from '../credentials.ts'
import { listed, pointerPart, problem } from '../findings.ts'
import type { AcmeOptions, CompileOptions } from '../options.ts'
import type { GatewayPort, PlacedServer } from './ports.ts'
import { isTlsClass, serverNames } from './server.ts'

export const ISSUER_ANNOTATION = 'sluice.dev/acme-issuer'
/** Value of the annotation for a Gateway that the default issuer is not for. */
const NO_ISSUER = 'none'

const HTTP_PORT = 80
const TLS_PORT = 443

/** What was issued: PEM by `NAMESPACE/NAME` of the Secret whose place it takes. */
export type IssuedCertificates = ReadonlyMap<string, IssuedCertificate>

export interface IssuedCertificate {
  /** PEM, leaf first. */
  readonly certificateChain: string
  /** PEM. */
  readonly privateKey: string
}

export const NOTHING_ISSUED: IssuedCertificates = new Map()

export interface AcmeOrders {
  /** By name. */
  readonly orders: Readonly<Record<string, AcmeCertificatePlan>>
  readonly problems: readonly Problem[]
}

/**
 * @param hasSecret Whether there is a Secret of this name, `NAMESPACE/NAME`: a user's own always wins.
 */
export function compileAcmeOrders(
  ports: readonly GatewayPort[],
  hasSecret: (name: string) => boolean,
  { acme, gateway: { namespace } }: CompileOptions,
): AcmeOrders {
  const orders: Record<string, AcmeCertificatePlan> = {}
  const problems: Problem[] = []
  const answers = answersOf(ports)
  for (const server of ports.flatMap(({ servers }) => servers)) {
    const name = credentialOf(server, namespace)
    if (name === undefined || hasSecret(name)) continue
    const issuer = issuerOf(server.gateway, acme, problems)
    if (issuer === undefined) continue
    const known = orders[name]
    if (known !== undefined && known.issuer !== issuer) {
      problems.push(
        problem('warning', server.gateway, `${server.pointer}/tls/credentialName`, {
          code: 'gateway/acme-issuer-conflict',
          message: `${name} is ordered from issuer ${known.issuer}, as another Gateway says, and not from ${issuer}`,
          remedy: 'Give the servers different credential names, or the Gateways the same issuer.',
        }),
      )
    }
    const hosts = hostsOf(server, acme.issuers[issuer]?.wildcards === true, problems)
    if (hosts.length === 0) continue
    orders[name] = {
      name,
      issuer: known?.issuer ?? issuer,
      hosts: withoutCovered([...new Set([...(known?.hosts ?? []), ...hosts])]).sort(),
      answers,
    }
  }
  return { orders, problems }
}

/** The Secret that the server presents, where it is a single one and TLS ends here with a certificate of its own. */
function credentialOf(server: PlacedServer, namespace: string): string | undefined {
  const { tls } = server.server
  if (server.refused || !isTlsClass(server.class) || !tls?.credentialName) return undefined
  if (!['SIMPLE', 'MUTUAL', 'OPTIONAL_MUTUAL'].includes(tls.mode ?? 'PASSTHROUGH')) return undefined
  return secretName(tls.credentialName, namespace)
}

function issuerOf(gateway: Gateway, { issuers, defaultIssuer }: AcmeOptions, problems: Problem[]): string | undefined {
  const named = gateway.metadata.annotations[ISSUER_ANNOTATION]
  const name = named ?? defaultIssuer ?? NO_ISSUER
  if (name === NO_ISSUER) return undefined
  if (Object.hasOwn(issuers, name)) return name
  const near = nearest(name, Object.keys(issuers))
  problems.push(
    problem('error', gateway, `/metadata/annotations/${pointerPart(ISSUER_ANNOTATION)}`, {
      code: 'gateway/acme-issuer',
      message: `there is no issuer "${name}" in acme.issuers of the settings, so no certificate is ordered`,
      remedy: near === undefined ? 'Add it to sluice.yaml.' : `Did you mean "${near}"?`,
    }),
  )
  return undefined
}

function hostsOf(server: PlacedServer, wildcards: boolean, problems: Problem[]): string[] {
  const refused: string[] = []
  const unproved: string[] = []
  const hosts = serverNames(server).filter((host) => {
    const syntax = hostSyntax(host)
    if (syntax === 'name' || (syntax === 'wildcard' && wildcards)) return true
    ;(syntax === 'wildcard' ? unproved : refused).push(host)
    return false
  })
  const report = (what: readonly string[], reason: string, remedy: string) => {
    if (what.length === 0) return
    problems.push(
      problem('warning', server.gateway, `${server.pointer}/hosts`, {
        code: 'gateway/acme-host',
        message: `no certificate can be ordered for ${listed(what)}: ${reason}`,
        remedy,
      }),
    )
  }
  report(refused, 'an authority certifies names and wildcards of a whole domain', 'List the hosts by name.')
  report(
    unproved,
    "a wildcard has to be proved by DNS, and the issuer's settings do not say how",
    'Set dns.server or dns.hook of the issuer, or list the hosts by name.',
  )
  return hosts
}

/** Without names that a wildcard beside them covers: authorities refuse an order with both. */
function withoutCovered(hosts: readonly string[]): string[] {
  return hosts.filter((host) => host.startsWith('*.') || !hosts.includes(`*${host.slice(host.indexOf('.'))}`))
}

function answersOf(ports: readonly GatewayPort[]): AcmeCertificatePlan['answers'] {
  const serves = (number: number, isRight: (server: PlacedServer) => boolean) =>
    ports.some(({ port, servers }) => port === number && servers.some((server) => !server.refused && isRight(server)))
  return {
    'http-01': serves(HTTP_PORT, ({ class: kind }) => kind === 'http'),
    'tls-alpn-01': serves(TLS_PORT, ({ class: kind }) => kind === 'https'),
  }
}
