/**
 * Where endpoints are, seen from this gateway: shares of localities (`distribute`), or who is asked only when nearer
 * endpoints fail (`failover`, `failoverPriority`).
 *
 * Source: istio: pilot/pkg/networking/core/loadbalancer/loadbalancer.go, pilot/pkg/networking/util/util.go
 * (`LocalityMatch`, `LbPriority`).
 */
import type { LocalityLoadBalancerSetting } from '../../resources/destination-rule.ts'
import type { GatewayIdentity } from '../options.ts'
import type { ServiceEndpoint } from '../services/service.ts'
import type { Labels } from '../workload.ts'

const REGION_LABEL = 'topology.kubernetes.io/region'
const ZONE_LABEL = 'topology.kubernetes.io/zone'
const SUBZONE_LABEL = 'topology.istio.io/subzone'
const NETWORK_LABEL = 'topology.istio.io/network'

export interface Locality {
  /** Each is empty where it is not known. */
  readonly region: string
  readonly zone: string
  readonly subzone: string
}

/** What endpoints are compared with. */
export interface Place {
  /** The region is empty where nothing is known of where this gateway runs. */
  readonly locality: Locality
  /** The gateway's labels, those of its locality among them. */
  readonly labels: Labels
}

export interface PlacedEndpoint extends ServiceEndpoint {
  /** Absent: 0. */
  readonly priority?: number
}

/** The gateway's own place: its `locality`, else the labels that Kubernetes gives to nodes. */
export function placeOf({ locality, labels }: Pick<GatewayIdentity, 'locality' | 'labels'>): Place {
  const given = labels ?? {}
  const own =
    locality === ''
      ? { region: given[REGION_LABEL] ?? '', zone: given[ZONE_LABEL] ?? '', subzone: given[SUBZONE_LABEL] ?? '' }
      : parseLocality(locality)
  return { locality: own, labels: { ...given, ...localityLabels(own) } }
}

/**
 * Endpoints with the weights and priorities that their localities give them, in the order in which they came.
 *
 * @param hasOutlierDetection Without it no endpoint is ever found unhealthy, so none is kept back for later either.
 */
export function placeEndpoints(
  endpoints: readonly ServiceEndpoint[],
  setting: LocalityLoadBalancerSetting | undefined,
  hasOutlierDetection: boolean,
  place: Place,
): readonly PlacedEndpoint[] {
  if (setting === undefined || setting.enabled === false) return endpoints
  const { distribute = [], failover = [], failoverPriority = [] } = setting
  if (distribute.length > 0) {
    const entry = distribute.find(({ from = '' }) => isIn(place.locality, from))
    return entry === undefined ? endpoints : shareOut(endpoints, entry.to ?? {}, place)
  }
  if (!hasOutlierDetection) return endpoints
  const byLabels = failoverPriority.length > 0 && Object.keys(place.labels).length > 0
  // Labels alone decide, unless regions are named as well; without labels it is the distance.
  const byDistance = place.locality.region !== '' && (failoverPriority.length === 0 || failover.length > 0)
  if (!byLabels && !byDistance) return endpoints
  const target = failover.find(({ from }) => from === place.locality.region)?.to
  return prioritise(endpoints, (endpoint) => {
    const missed = byLabels ? labelsMissed(endpoint, failoverPriority, place) : 0
    const distance = byDistance ? distanceTo(localityOf(endpoint, place), place.locality, target) : 0
    return missed * DISTANCES + distance
  })
}

/** Whether the setting does nothing where the gateway's own locality is unknown. */
export function needsLocality(setting: LocalityLoadBalancerSetting): boolean {
  const { enabled, distribute = [], failover = [], failoverPriority = [] } = setting
  if (enabled === false) return false
  const isRelative = (label: string) => [REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL].includes(label)
  return (
    distribute.some(({ from = '' }) => !from.startsWith('*')) ||
    failover.length > 0 ||
    failoverPriority.some(isRelative)
  )
}

function parseLocality(text: string): Locality {
  const [region = '', zone = '', subzone = ''] = text.split('/')
  return { region, zone, subzone }
}

/**
 * EndpointSlices tell the zone and not the region. A Kubernetes cluster is in one region, so an endpoint of which only
 * the zone is known is taken to be in the gateway's own.
 */
function localityOf({ locality = '' }: ServiceEndpoint, place: Place): Locality {
  const parsed = parseLocality(locality)
  return parsed.region === '' && parsed.zone !== '' ? { ...parsed, region: place.locality.region } : parsed
}

function localityLabels({ region, zone, subzone }: Locality): Labels {
  const all = { [REGION_LABEL]: region, [ZONE_LABEL]: zone, [SUBZONE_LABEL]: subzone }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ''))
}

/** @param pattern `region/zone/subzone` from the left; `*`, or nothing, takes whatever is there. */
function isIn(locality: Locality, pattern: string): boolean {
  const [region = '', zone = '', subzone = ''] = pattern.split('/')
  return (
    (region === '*' || region === locality.region) &&
    (zone === '*' || zone === '' || zone === locality.zone) &&
    (subzone === '*' || subzone === '' || subzone === locality.subzone)
  )
}

/**
 * Divides each share among the endpoints that it is for, in proportion to their own weights. Endpoints of localities
 * that are not listed get nothing. Weights are scaled so that the smallest is 1.
 */
function shareOut(
  endpoints: readonly ServiceEndpoint[],
  to: Readonly<Record<string, number>>,
  place: Place,
): readonly PlacedEndpoint[] {
  const shares = Object.entries(to)
  const listed = endpoints.flatMap((endpoint) => {
    const index = shares.findIndex(([pattern]) => isIn(localityOf(endpoint, place), pattern))
    return index === -1 ? [] : [{ endpoint, index }]
  })
  const totals = shares.map((_, i) => sum(listed.filter(({ index }) => index === i).map((one) => one.endpoint.weight)))
  const weights = listed.map(({ endpoint, index }) => (endpoint.weight * shares[index]![1]) / totals[index]!)
  const smallest = Math.min(...weights)
  return listed.map(({ endpoint }, i) => ({ ...endpoint, weight: toMillionths(weights[i]! / smallest) }))
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

/** Weights that are the same by arithmetic are the same numbers. */
function toMillionths(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

/** Results of {@link distanceTo}. */
const DISTANCES = 5

/** 0 the same subzone, 1 the same zone, 2 the same region, 3 elsewhere, 4 elsewhere but not where `failover` points to. */
function distanceTo(locality: Locality, own: Locality, failoverTo: string | undefined): number {
  if (locality.region !== own.region) return failoverTo === undefined || locality.region === failoverTo ? 3 : 4
  if (locality.zone !== own.zone) return 2
  return locality.subzone === own.subzone ? 0 : 1
}

/** 0: all labels are as the gateway's, or as the list says. The earlier one differs, the more. */
function labelsMissed(endpoint: ServiceEndpoint, wanted: readonly string[], place: Place): number {
  const { network, labels } = endpoint
  const known: Labels = {
    ...localityLabels(localityOf(endpoint, place)),
    ...(network === undefined ? {} : { [NETWORK_LABEL]: network }),
    ...labels,
  }
  const index = wanted.findIndex((entry) => {
    const [label = '', forced] = entry.split('=')
    return (forced ?? place.labels[label] ?? '') !== (known[label] ?? '')
  })
  return index === -1 ? 0 : wanted.length - index
}

/** Ranks become priorities 0, 1, 2 … without gaps. */
function prioritise(
  endpoints: readonly ServiceEndpoint[],
  rankOf: (endpoint: ServiceEndpoint) => number,
): readonly PlacedEndpoint[] {
  const ranks = endpoints.map(rankOf)
  const order = [...new Set(ranks)].sort((a, b) => a - b)
  return endpoints.map((endpoint, i) => {
    const priority = order.indexOf(ranks[i]!)
    return priority === 0 ? endpoint : { ...endpoint, priority }
  })
}
