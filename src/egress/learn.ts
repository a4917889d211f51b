/**
 * From what the audit saw to the resources that allow exactly that: a ServiceEntry for each host, and one
 * AuthorizationPolicy with a rule for each client.
 */
import { isIP } from 'node:net'
import { readTarget } from '../lib/target.ts'
import type { AuditRecord } from './audit.ts'

export interface Learned {
  /** Objects as an operator would write them, in a fixed order. */
  readonly resources: readonly object[]
  /** Requests and tunnels that got through. */
  readonly records: number
  /** Those that were refused: nothing is learned of them. */
  readonly refused: number
  /** Lines that are none of the audit's. */
  readonly skipped: number
}

interface LearnedHost {
  readonly host: string
  /** Empty: it was asked for by its name. */
  readonly address: string
  /** By number. */
  readonly ports: Map<number, Protocol>
}

type Protocol = 'HTTP' | 'TLS' | 'TCP'

export interface LearnOptions {
  /** Where the ServiceEntries go. */
  readonly namespace: string
  /** Of the gateway: where its policies are. */
  readonly gatewayNamespace: string
}

/** @param lines Of one audit log or several; other lines may be among them. */
export function learn(lines: Iterable<string>, { namespace, gatewayNamespace }: LearnOptions): Learned {
  const hosts = new Map<string, LearnedHost>()
  /** Client → host → ports. */
  const clients = new Map<string, Map<string, Set<number>>>()
  let [records, refused, skipped] = [0, 0, 0]
  for (const line of lines) {
    if (line.trim() === '') continue
    const record = readRecord(line)
    if (record === null) skipped++
    else if (record.decision !== 'allowed' || record.upstream === null) refused++
    else {
      const target = readTarget(record.target, null)
      if (target.kind !== 'name' && target.kind !== 'address') {
        skipped++
        continue
      }
      records++
      // A ServiceEntry needs a name: that which the client asked for in TLS, or one that is made up.
      const host = target.kind === 'name' ? target.host : (record.serverName ?? madeUpName(target.host))
      const key = `${host} ${target.kind}`
      const known = hosts.get(key) ?? {
        host,
        address: target.kind === 'address' ? target.host : '',
        ports: new Map<number, Protocol>(),
      }
      hosts.set(key, known)
      known.ports.set(target.port, broader(known.ports.get(target.port), protocolOf(record)))
      addTo(clients, clientOf(record), target.host, target.port)
    }
  }
  const entries = [...hosts.values()]
    .sort((a, b) => compare(a.host, b.host) || compare(a.address, b.address))
    .map((host) => serviceEntry(host, namespace))
  const policies = clients.size === 0 ? [] : [policy(clients, gatewayNamespace)]
  return { resources: [...entries, ...policies], records, refused, skipped }
}

function readRecord(line: string): AuditRecord | null {
  try {
    const value = JSON.parse(line) as Partial<AuditRecord> | null
    const isOne =
      value?.msg === 'egress' &&
      typeof value.target === 'string' &&
      typeof value.client === 'string' &&
      typeof value.method === 'string'
    return isOne ? (value as AuditRecord) : null
  } catch {
    return null
  }
}

function protocolOf({ method, serverName, path }: AuditRecord): Protocol {
  if (method !== 'CONNECT' || path !== null) return 'HTTP'
  return serverName === null ? 'TCP' : 'TLS'
}

/** A port that was seen in several ways is one for all of them. */
function broader(before: Protocol | undefined, now: Protocol): Protocol {
  return before === undefined || before === now ? now : 'TCP'
}

function addTo(clients: Map<string, Map<string, Set<number>>>, client: string, host: string, port: number): void {
  const reached = clients.get(client) ?? new Map<string, Set<number>>()
  clients.set(client, reached)
  reached.set(host, (reached.get(host) ?? new Set()).add(port))
}

/** A token tells more than an address. */
function clientOf({ principal, client }: AuditRecord): string {
  if (principal !== null && principal !== undefined) return `principal ${principal}`
  const colon = client.lastIndexOf(':')
  return `address ${client.slice(0, colon).replace(/^\[|\]$/g, '')}`
}

function madeUpName(address: string): string {
  return `address-${address.replaceAll(/[.:]+/g, '-').replace(/^-|-$/g, '')}.egress.internal`
}

function serviceEntry({ host, address, ports }: LearnedHost, namespace: string): object {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: nameOf(address === '' ? host : `${host}-address`), namespace },
    spec: {
      hosts: [host],
      ...(address === '' ? {} : { addresses: [address] }),
      ports: [...ports]
        .sort(([a], [b]) => a - b)
        .map(([number, protocol]) => ({ number, name: `${protocol.toLowerCase()}-${number}`, protocol })),
      resolution: address === '' ? 'DNS' : 'NONE',
    },
  }
}

/** Hosts with the same ports are one operation: several of them in one would allow every pair. */
function policy(clients: ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<number>>>, namespace: string): object {
  const rules = [...clients]
    .sort(([a], [b]) => compare(a, b))
    .map(([client, reached]) => {
      const byPorts = Map.groupBy(reached, ([, ports]) => [...ports].sort((a, b) => a - b).join())
      const to = [...byPorts]
        .sort(([a], [b]) => compare(a, b))
        .map(([ports, entries]) => ({
          operation: { hosts: entries.map(([host]) => authority(host)).sort(compare), ports: ports.split(',') },
        }))
      return { from: [{ source: sourceOf(client) }], to }
    })
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'egress-learned', namespace },
    spec: { action: 'ALLOW', rules },
  }
}

function sourceOf(client: string): object {
  const [kind, ...rest] = client.split(' ')
  const value = rest.join(' ')
  return kind === 'principal' ? { requestPrincipals: [value] } : { ipBlocks: [value] }
}

function authority(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host
}

function nameOf(host: string): string {
  const name = host.replaceAll(/[^a-z0-9-]+/g, '-').replaceAll(/^-+|-+$/g, '')
  return name.slice(0, 253)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
