/**
 * The explicit forward proxy: requests in absolute form and CONNECT, let through where the list, the policies and the
 * addresses that names lead to agree. Everything that is not understood is refused.
 *
 * Requests go the way of all others from here (filters, forwarder, log, metrics); tunnels are spliced. A tunnel to a
 * port whose protocol is HTTP is read as HTTP, or policies about methods and paths could be walked around in it.
 */
import type { ConnectRequest } from '../exchange/connect-request.ts'
import type { EgressDenial, EgressFacts } from '../exchange/egress.ts'
import type { Exchange } from '../exchange/exchange.ts'
import { hasHeader } from '../exchange/headers.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { covers } from '../lib/names.ts'
import { formatTarget, readTarget, type Target } from '../lib/target.ts'
import type { EgressHostPlan, EgressPlan } from '../plan/egress.ts'
import { type RoutingDeps, compileRoute } from '../routing/compiled-route.ts'
import { isGone, serveRoute } from '../routing/serve-route.ts'
import type { ClusterDeps } from '../upstreams/cluster.ts'
import type { Cluster } from '../upstreams/cluster.ts'
import type { ClusterStats } from '../upstreams/cluster-set.ts'
import type { AllowedPort } from './allowlist.ts'
import { PROXY_AUTHORIZATION, takeCredentials } from './credentials.ts'
import { type Decision, EgressDecisions, type Goal } from './decision.ts'
import { type Destination, type DestinationLimits, Destinations, PASSTHROUGH } from './destinations.ts'
import { TargetFacts, type TunnelFacts, tunnelOf } from './facts.ts'
import { badRequestReply, challenge, deniedReply, DNS_FAILURE, TOO_MANY_TUNNELS } from './replies.ts'
import { egressRoute } from './route.ts'
import { Tunnel } from './tunnel.ts'
import type { GateRules } from './tunnel-gate.ts'
import { compileVia, type ViaSettings } from './via.ts'

export interface EgressSettings extends DestinationLimits, ViaSettings {
  readonly allowEncryptedClientHello: boolean
  readonly helloTimeoutMs: number
  /** Null: never. */
  readonly tunnelIdleMs: number | null
  /** 0: no limit. */
  readonly maxTunnels: number
  /** For `ALLOW_ANY`. */
  readonly connectTimeoutMs: number
}

/** What happened so far, for the metrics. */
export interface EgressCounts {
  readonly tunnels: number
  readonly destinations: number
  readonly denied: Readonly<Record<string, number>>
}

export interface EgressProxyDeps {
  readonly settings: EgressSettings
  readonly clusters: ClusterDeps
  readonly isOwn: (address: string) => boolean
  /** Runs the policies over a request; `pass` or `refuse` is called once, perhaps later. */
  readonly policies: (exchange: Exchange, pass: () => void, refuse: (reply: LocalReply) => void) => void
  /** Whether tokens are asked for, so that a client without one is told to send it. */
  readonly asksForTokens: () => boolean
  /** @param clusters Where the routes' clusters are found. */
  readonly routing: (clusters: { get(name: string): Cluster | undefined }) => RoutingDeps
  readonly reply: (exchange: Exchange, reply: LocalReply) => void
}

type Refuse = (reply: LocalReply) => void

export class EgressProxy {
  readonly #deps: EgressProxyDeps
  readonly #decisions = new EgressDecisions()
  readonly #destinations: Destinations
  readonly #routing: RoutingDeps
  readonly #denied: Record<string, number> = {}
  #tunnels = 0

  constructor(deps: EgressProxyDeps) {
    this.#deps = deps
    const { settings, clusters, isOwn } = deps
    this.#routing = deps.routing({ get: (name) => this.#destinations.cluster(name) })
    this.#destinations = new Destinations({
      limits: settings,
      clusters,
      isOwn,
      compileRoute: (cluster, entry) => compileRoute(egressRoute(cluster, entry), this.#routing),
      connectTimeoutMs: settings.connectTimeoutMs,
      via: compileVia(settings),
    })
  }

  /** @param hosts New and changed ones. @param plan Undefined: as it was. */
  update(plan: EgressPlan | undefined, hosts: readonly EgressHostPlan[], removed: readonly string[]): void {
    if (plan !== undefined) this.#decisions.update(plan)
    for (const host of hosts) this.#decisions.list.set(host)
    for (const host of removed) this.#decisions.list.delete(host)
    this.#destinations.refresh(({ goal, entry }) => this.#present(goal, entry))
  }

  counts(): EgressCounts {
    return { tunnels: this.#tunnels, destinations: this.#destinations.size, denied: { ...this.#denied } }
  }

  stats(): ClusterStats[] {
    return this.#destinations.stats()
  }

  close(): void {
    this.#destinations.close()
  }

  /** A request on the proxy's port, or inside of a tunnel that is read as HTTP. */
  serve(exchange: Exchange): void {
    const refuse: Refuse = (reply) => {
      this.#deps.reply(exchange, reply)
    }
    const tunnel = tunnelOf(exchange.listener)
    const read = tunnel === null ? readAbsolute(exchange) : readInside(exchange, tunnel)
    const credentials = tunnel === null ? takeCredentials(exchange.headers) : tunnel.credentials
    const allowed = this.#decide(exchange, read, refuse)
    if (allowed === null) return
    const { goal } = allowed
    const entry = allowed.kind === 'listed' ? allowed.entry : null
    exchange.listener = new TargetFacts(exchange.listener, goal.port, tunnel)
    exchange.host = goal.host
    // Policies mean the host by its name; the port has a field of its own.
    exchange.authority = goal.host
    this.#checkPolicies(exchange, credentials, refuse, () => {
      exchange.authority = goal.port === 80 ? bracketed(goal.host) : formatTarget(goal)
      if (entry !== null && entry.port.protocol === 'tls' && entry.port.cluster.transport.kind === 'plaintext') {
        // In the clear to a port that expects TLS; the list says so, or a DestinationRule would begin it here.
        this.#deny(exchange, 'protocol', refuse)
        return
      }
      this.#whenReady(this.#destinations.of(goal, entry), exchange, refuse, (destination) => {
        forward(exchange, destination, this.#routing)
      })
    })
  }

  /** CONNECT on the proxy's port. */
  connect(request: ConnectRequest): void {
    const { exchange } = request
    const refuse: Refuse = (reply) => {
      request.refuse(reply)
    }
    const inside = tunnelOf(exchange.listener) !== null
    const read = inside ? malformed('a tunnel inside of a tunnel') : readConnect(exchange)
    const credentials = takeCredentials(exchange.headers)
    const allowed = this.#decide(exchange, read, refuse)
    if (allowed === null) return
    const { goal } = allowed
    const entry = allowed.kind === 'listed' ? allowed.entry : null
    const base = exchange.listener
    exchange.listener = new TargetFacts(base, goal.port, null)
    exchange.host = goal.host
    exchange.authority = goal.host
    this.#checkPolicies(exchange, credentials, refuse, () => {
      exchange.authority = formatTarget(goal)
      if (entry?.port.protocol === 'http') {
        request.serveHttp(new TargetFacts(base, goal.port, { goal, credentials }))
        return
      }
      this.#whenReady(this.#destinations.of(goal, entry), exchange, refuse, (destination) => {
        this.#openTunnel(request, destination, this.#gateRules(allowed, destination))
      })
    })
  }

  #decide(exchange: Exchange, read: Target, refuse: Refuse): Exclude<Decision, { kind: 'refused' }> | null {
    const client = clientAddress(exchange)
    const facts: EgressFacts = (exchange.egress = {
      target: read.kind === 'malformed' ? exchange.authority : formatTarget(read),
      any: false,
      allowedBy: null,
      denied: '',
      detail: '',
      serverName: '',
      clientNamespace: this.#decisions.namespaceOf(client),
    })
    if (read.kind === 'malformed') {
      facts.detail = read.reason
      this.#count('bad-request', facts)
      refuse(badRequestReply(read.reason))
      return null
    }
    const decision = this.#decisions.decide(read, client)
    const { upstream } = exchange
    if (decision.kind === 'refused') {
      if (read.kind === 'odd') facts.detail = read.reason
      // Istio's name for where what is not listed goes.
      upstream.cluster = upstream.serviceName = 'BlackHoleCluster'
      this.#deny(exchange, 'not-in-registry', refuse)
      return null
    }
    if (decision.kind === 'any') {
      facts.any = true
      upstream.cluster = upstream.serviceName = PASSTHROUGH
      return decision
    }
    const { port } = decision.entry
    facts.allowedBy = port.origin
    upstream.cluster = port.cluster.name
    upstream.serviceHost = port.cluster.host
    upstream.serviceName = port.cluster.service.name
    upstream.serviceNamespace = port.cluster.service.namespace
    return decision
  }

  #checkPolicies(exchange: Exchange, credentials: string | null, refuse: Refuse, pass: () => void): void {
    if (credentials !== null) exchange.headers.push(PROXY_AUTHORIZATION, credentials)
    this.#deps.policies(
      exchange,
      () => {
        // Nobody beyond this proxy has any business with them.
        if (hasHeader(exchange.headers, PROXY_AUTHORIZATION)) takeCredentials(exchange.headers)
        pass()
      },
      (reply) => {
        this.#count('policy', exchange.egress!)
        const unknown =
          reply.status === 401 || (reply.status === 403 && credentials === null && this.#deps.asksForTokens())
        refuse(unknown ? challenge(reply) : reply)
      },
    )
  }

  /** Goes on at once where the destination's names are known. */
  #whenReady(
    destination: Destination,
    exchange: Exchange,
    refuse: Refuse,
    goOn: (destination: Destination) => void,
  ): void {
    const { warming } = destination.cluster
    const proceed = () => {
      const trouble = troubleOf(destination)
      if (trouble === null) goOn(destination)
      else if (trouble.kind === 'failed') {
        exchange.egress!.detail = trouble.detail
        refuse(DNS_FAILURE)
      } else {
        exchange.egress!.detail = trouble.detail
        this.#deny(exchange, 'private-address', refuse)
      }
    }
    if (warming === null) proceed()
    else {
      void warming.then(() => {
        if (!isGone(exchange)) proceed()
      })
    }
  }

  #openTunnel(request: ConnectRequest, destination: Destination, gate: GateRules): void {
    const { settings } = this.#deps
    const { exchange } = request
    if (settings.maxTunnels > 0 && this.#tunnels >= settings.maxTunnels) {
      request.refuse(TOO_MANY_TUNNELS)
      return
    }
    this.#tunnels++
    const facts = exchange.egress!
    new Tunnel(request, destination, {
      gate,
      helloTimeoutMs: settings.helloTimeoutMs,
      idleTimeoutMs: settings.tunnelIdleMs,
      onEnd: () => {
        this.#tunnels--
      },
      onRefused: (reason) => {
        exchange.addFlag('UAEX')
        this.#count(reason, facts)
      },
      onServerName: (name) => {
        facts.serverName = name
      },
    }).start()
  }

  #gateRules(decision: Exclude<Decision, { kind: 'refused' }>, { cluster }: Destination): GateRules {
    const { allowEncryptedClientHello } = this.#deps.settings
    if (decision.kind === 'any') return { tls: false, pinned: false, isOwnName: null, allowEncryptedClientHello }
    const { goal, entry, others } = decision
    return {
      // TLS that a DestinationRule asks for is not begun for a tunnel: its client has to.
      tls: entry.port.protocol === 'tls' || cluster.plan.transport.kind !== 'plaintext',
      pinned: entry.port.pinned,
      isOwnName: (serverName) => {
        const name = serverName.endsWith('.') ? serverName.slice(0, -1) : serverName
        if (goal.kind === 'name') return name === goal.host
        return [entry, ...others].some(({ host }) => covers(host.plan.host, name))
      },
      allowEncryptedClientHello,
    }
  }

  /** What the list has now for something that it let through before. */
  #present(goal: Goal, entry: AllowedPort | null): AllowedPort | 'any' | null {
    const listed =
      goal.kind === 'name'
        ? this.#decisions.list.find(goal.host, goal.port, () => true)
        : this.#decisions.list.findAddress(goal.host, goal.port, () => true)[0]
    if (listed != null) return listed
    return entry === null && this.#decisions.decide(goal, '').kind === 'any' ? 'any' : null
  }

  #deny(exchange: Exchange, why: EgressDenial, refuse: Refuse): void {
    const facts = exchange.egress!
    this.#count(why, facts)
    refuse(deniedReply(facts.target, why))
  }

  #count(why: EgressDenial, facts: EgressFacts): void {
    facts.denied = why
    this.#denied[why] = (this.#denied[why] ?? 0) + 1
  }
}

function forward(exchange: Exchange, destination: Destination, routing: RoutingDeps): void {
  const { via } = destination
  if (via !== null) {
    // The next proxy wants the absolute form as well.
    exchange.path = `http://${exchange.authority}${exchange.path}`
    if (via.authorization !== null) exchange.headers.push(PROXY_AUTHORIZATION, via.authorization)
  }
  serveRoute(destination.route, exchange, routing)
}

/** Without an endpoint: why its names have led to none. */
function troubleOf({ cluster, troubles }: Destination): { kind: 'private' | 'failed'; detail: string } | null {
  if (troubles.size === 0) return null
  for (const _ of cluster.endpoints) return null
  let failed: { kind: 'failed'; detail: string } | null = null
  for (const [hostname, outcome] of troubles) {
    if (outcome.kind === 'private') {
      return { kind: 'private', detail: `${hostname} is ${outcome.address} (${outcome.class})` }
    }
    if (outcome.kind === 'failed') failed = { kind: 'failed', detail: outcome.reason }
  }
  return failed
}

function readConnect({ req, authority }: Exchange): Target {
  const target = readTarget(authority, null)
  if (target.kind === 'malformed') return target
  return agreesWithHost(req.rawHeaders, authority, target, target.port)
    ? target
    : malformed('Host and request target are not the same')
}

/** A request of a proxy's client names its target in full, and says nothing else in its Host. */
function readAbsolute({ req, authority }: Exchange): Target {
  const url = req.url ?? ''
  if (!/^http:\/\//i.test(url)) {
    return malformed(
      /^https:/i.test(url)
        ? 'for https ask for a tunnel with CONNECT'
        : 'this is a forward proxy: the request target has to be an absolute URL',
    )
  }
  const target = readTarget(authority, 80)
  if (target.kind === 'malformed') return target
  return agreesWithHost(req.rawHeaders, authority, target, 80)
    ? target
    : malformed('Host and request target are not the same')
}

/** A client of a proxy asks for one place only, whoever reads it: in its target and in its Host. */
function agreesWithHost(
  rawHeaders: readonly string[],
  authority: string,
  target: Target,
  defaultPort: number,
): boolean {
  if (target.kind === 'malformed') return true
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() !== 'host' || rawHeaders[i + 1] === authority) continue
    const host = readTarget(rawHeaders[i + 1]!, defaultPort)
    if (host.kind === 'malformed' || host.host !== target.host || host.port !== target.port) return false
  }
  return true
}

/** Inside of a tunnel every request is for the tunnel's target. */
function readInside({ authority }: Exchange, { goal }: TunnelFacts): Target {
  const target = readTarget(authority, goal.port)
  if (target.kind === 'malformed') return target
  return target.host === goal.host && target.port === goal.port
    ? goal
    : malformed('Host is not the target of the tunnel')
}

function clientAddress({ peerAddress }: Exchange): string {
  const colon = peerAddress.lastIndexOf(':')
  const address = colon === -1 ? peerAddress : peerAddress.slice(0, colon)
  return address.startsWith('[') ? address.slice(1, -1) : address
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function malformed(reason: string): Target {
  return { kind: 'malformed', reason }
}
