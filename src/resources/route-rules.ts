/** What http, tls and tcp routes of a VirtualService have in common, and what Istio refuses in it. */
import { isDNSLabel, isFQDN, isLabel } from '../lib/names.ts'
import { type Findings, present } from './findings.ts'
import { checkAddressBlock, checkHost, checkLabels, checkPort, checkRegex } from './rules.ts'
import type {
  Destination,
  HTTPMatchRequest,
  L4MatchAttributes,
  RouteDestination,
  StringMatch,
} from './virtual-service.ts'

/** A match of a tls or tcp route. */
export function checkL4Match(findings: Findings, at: string, match: L4MatchAttributes): void {
  const code = 'virtual-service/match'
  for (const [index, subnet] of (match.destinationSubnets ?? []).entries()) {
    checkAddressBlock(findings, code, `${at}/destinationSubnets/${index}`, subnet)
  }
  checkPort(findings, code, `${at}/port`, match.port)
  checkSourceMatch(findings, at, match)
}

export function checkSourceMatch(
  findings: Findings,
  at: string,
  match: Pick<HTTPMatchRequest, 'sourceLabels' | 'sourceNamespace' | 'gateways'>,
): void {
  const code = 'virtual-service/match'
  checkLabels(findings, code, `${at}/sourceLabels`, match.sourceLabels)
  if (match.sourceNamespace !== undefined && match.sourceNamespace !== '' && !isLabel(match.sourceNamespace)) {
    findings.error(code, `${at}/sourceNamespace`, `"${match.sourceNamespace}" is not the name of a namespace`)
  }
  checkGatewayNames(findings, code, `${at}/gateways`, match.gateways ?? [])
}

export function checkStringMatch(
  findings: Findings,
  at: string,
  match: StringMatch | undefined,
  prefix: 'empty-prefix' | 'prefix' = 'prefix',
): void {
  if (match === undefined) return
  const code = 'virtual-service/match'
  const set = present(match, ['exact', 'prefix', 'regex'])
  if (set.length > 1) findings.error(code, `${at}/${set[1]}`, `${set.join(' and ')} exclude each other`)
  if (match.prefix === '' && prefix === 'prefix') {
    findings.error(code, `${at}/prefix`, 'an empty prefix matches everything', {
      remedy: 'Write {} to ask only that there is a value.',
    })
  }
  if (match.regex !== undefined) checkRegex(findings, code, `${at}/regex`, match.regex)
}

/** `mesh`, `name`, `namespace/name`, `./name`; and Istio's old `name.namespace.svc.cluster.local`, with a warning. */
export function checkGatewayNames(findings: Findings, code: string, at: string, names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    const parts = name.split('/')
    const [first = '', second] = parts
    const valid =
      parts.length === 2
        ? (first === '.' || isDNSLabel(first)) && isDNSLabel(second ?? '')
        : parts.length === 1 && isDNSLabel(first)
    if (valid) continue
    if (parts.length === 1 && isFQDN(first)) {
      findings.warning(code, `${at}/${index}`, `"${name}" is the old form of a gateway's name`, {
        remedy: 'Write NAMESPACE/NAME.',
      })
    } else {
      findings.error(code, `${at}/${index}`, `expected NAME or NAMESPACE/NAME of a Gateway, found "${name}"`)
    }
  }
}

/** The destinations of a route of any kind. */
export function checkWeights(
  findings: Findings,
  at: string,
  destinations: readonly RouteDestination[] | undefined,
): void {
  const code = 'virtual-service/route'
  if (destinations === undefined || destinations.length === 0) {
    findings.error(code, at, '"route" is missing or empty')
    return
  }
  let sum = 0
  for (const [index, { destination, weight = 0 }] of destinations.entries()) {
    checkDestination(findings, `${at}/route/${index}/destination`, destination)
    if (weight < 0) findings.error(code, `${at}/route/${index}/weight`, `a weight is 0 or more, found ${weight}`)
    sum += weight
  }
  if (destinations.length > 1 && sum === 0) {
    findings.error(code, `${at}/route`, 'the weights of several destinations add up to 0', {
      remedy: 'Give each destination its weight.',
    })
  }
}

export function checkDestination(findings: Findings, at: string, destination: Destination): void {
  const code = 'virtual-service/destination'
  checkHost(findings, code, `${at}/host`, destination.host, ['partial-wildcard'])
  if (destination.subset !== undefined && destination.subset !== '' && !isLabel(destination.subset)) {
    findings.error(code, `${at}/subset`, `"${destination.subset}" is not the name of a subset`)
  }
  if (destination.port !== undefined) checkPort(findings, code, `${at}/port`, destination.port.number ?? 0)
}
