/**
 * From the admin API's JSON to the rows of a table. A field that an older or newer gateway does not send is `-`, never
 * an error: these commands are for looking at a gateway that may be in trouble.
 */
import type { CertificateView } from '../admin/certs.ts'
import type { ClusterView, EndpointView } from '../admin/clusters.ts'
import type { ListenerView } from '../admin/listeners.ts'
import type { RouteView } from '../admin/routes.ts'
import type { Origin } from '../plan/problem.ts'

export interface Rows {
  readonly headings: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

type Item = Readonly<Record<string, unknown>>

/** A heading, and the text below it for one item; what is undefined, null or empty becomes `-`. */
type Column<T> = readonly [heading: string, text: (item: Partial<T>) => unknown]

const NOTHING = '-'

export function listenerRows(body: unknown): Rows {
  return table<ListenerView>(itemsOf(body, 'listeners'), [
    ['name', ({ name }) => name],
    ['port', ({ port }) => port],
    ['address', ({ address }) => address],
    ['kind', ({ kind }) => kind],
    ['state', ({ up, errors }) => (up === true ? 'up' : `down: ${list(errors)}`)],
    ['hosts', ({ hosts }) => list(hosts)],
  ])
}

export function routeRows(body: unknown): Rows {
  return table<RouteView>(itemsOf(body, 'routes'), [
    ['port', ({ port }) => port],
    ['host', ({ host }) => host],
    ['#', ({ position }) => position],
    ['name', ({ name }) => name],
    ['match', ({ match }) => match],
    ['action', ({ action }) => action],
    ['from', ({ origin }) => (origin === undefined ? '' : originText(origin))],
  ])
}

export function clusterRows(body: unknown): Rows {
  const items = itemsOf(body, 'clusters').flatMap((cluster): readonly Item[] => {
    const endpoints = itemsOf(cluster['endpoints'])
    const name = cluster['name']
    if (endpoints.length === 0) return [{ cluster: name, health: 'no endpoints' }]
    return endpoints.map((endpoint) => ({ ...endpoint, cluster: name }))
  })
  return table<EndpointView & { readonly cluster: ClusterView['name'] }>(items, [
    ['cluster', ({ cluster }) => cluster],
    ['endpoint', ({ address }) => address],
    ['health', ({ health }) => health],
    ['weight', ({ weight }) => weight],
    ['connections', ({ connections }) => connections],
    ['active', ({ activeRequests }) => activeRequests],
    ['requests', ({ requests }) => requests],
    ['connect failures', ({ connectFailures }) => connectFailures],
  ])
}

export function certificateRows(body: unknown): Rows {
  return table<CertificateView>(itemsOf(body, 'certificates'), [
    ['name', ({ name }) => name],
    [
      'names',
      ({ subjectAltNames, subject, error, unusable }) => error ?? unusable ?? (list(subjectAltNames) || subject),
    ],
    ['source', ({ source }) => source],
    ['until', ({ notAfter }) => notAfter],
    ['days left', ({ daysLeft }) => daysLeft],
    ['renewal', ({ renewalAt }) => renewalAt],
    ['last error', ({ problem }) => problem],
    ['used by', ({ usedBy }) => list(usedBy)],
  ])
}

/** The objects in a list, which may be a field of `body`. */
export function itemsOf(body: unknown, key?: string): readonly Item[] {
  const found = key !== undefined && isItem(body) ? body[key] : body
  return Array.isArray(found) ? found.filter(isItem) : []
}

export function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function table<T>(items: readonly Item[], columns: readonly Column<T>[]): Rows {
  return {
    headings: columns.map(([heading]) => heading),
    rows: items.map((item) => columns.map(([, text]) => cell(text(item as Partial<T>)))),
  }
}

function cell(value: unknown): string {
  if (value === undefined || value === null || value === '') return NOTHING
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Most names that a row shows: a listener may have thousands of hosts. */
const MOST_LISTED = 5

function list(items: unknown): string {
  if (!Array.isArray(items)) return ''
  const more = items.length > MOST_LISTED ? `, … ${items.length} in all` : ''
  return `${items.slice(0, MOST_LISTED).join(', ')}${more}`
}

function originText({ kind, namespace, name, pointer }: Origin): string {
  return `${kind} ${namespace}/${name}${pointer === undefined ? '' : ` ${pointer}`}`
}
