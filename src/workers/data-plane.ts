/**
 * Everything that serves in one worker, and how it becomes what the plan says. Parts are found by their keys and kept
 * while their texts are the same: listeners, virtual hosts, connections and counters survive every reload that does not
 * concern them.
 */
import { hostname } from 'node:os'
import { getCACertificates } from 'node:tls'
import type { ChallengeAnswer } from '../certificates/acme/challenge-answer.ts'
import { ChallengeTable } from '../certificates/acme/challenge-table.ts'
import { MaterialStore } from '../certificates/material-store.ts'
import type { TicketKeys } from '../certificates/ticket-keys.ts'
import { createRemoteIdentity, type RemoteIdentity } from '../certificates/mesh/remote-identity.ts'
import type { MeshCertificate } from '../certificates/mesh-identity.ts'
import type { Epoch, Exchange } from '../exchange/exchange.ts'
import type { LocalReply } from '../exchange/local-reply.ts'
import { RateLimits } from '../filters/rate-limit/rate-limits.ts'
import type { RuleCounts } from '../filters/rate-limit/rule.ts'
import { compileForward, type ForwardDeps } from '../forwarding/forward.ts'
import { sendLocalReply } from '../forwarding/reply.ts'
import { createHttp2Counters } from '../listeners/http2/flood-guard.ts'
import { Listener, type ListenerDeps, type ListenerOptions } from '../listeners/listener.ts'
import type { HandshakeOptions } from '../listeners/tls-server.ts'
import { Overload } from '../listeners/overload.ts'
import { RedisStore } from '../limits/redis/redis-store.ts'
import { systemTimers } from '../lib/timers.ts'
import { type AccessLogger, createAccessLogger } from '../observability/access-log.ts'
import type { Logger } from '../observability/logger.ts'
import { type RuleOutcomes, snapshotOf, STORE_BUCKETS } from '../observability/metrics-snapshot.ts'
import { createProcessProbe, type ProcessProbe } from '../observability/process-probe.ts'
import { createRequestMetrics, type RequestMetrics } from '../observability/request-metrics.ts'
import { createTcpMetrics, type TcpCounter, type TcpMetrics } from '../observability/tcp-metrics.ts'
import type { ClusterPlan } from '../plan/cluster.ts'
import type { EgressHostPlan, EgressPlan } from '../plan/egress.ts'
import type { CertificatePlan, ListenerPlan } from '../plan/listener.ts'
import type { MeshPlan } from '../plan/plan.ts'
import type { PoliciesPlan } from '../plan/policy.ts'
import type { PolicyProof } from '../plan/proof.ts'
import type { RateLimitPolicyPlan } from '../plan/rate-limit.ts'
import type { VirtualHostPlan } from '../plan/route.ts'
import { compileMatch } from '../routing/match.ts'
import { PathRouters } from '../routing/path-router.ts'
import { RouteTable } from '../routing/route-table.ts'
import type { VirtualHost } from '../routing/virtual-host.ts'
import type { RoutingDeps } from '../routing/compiled-route.ts'
import type { ClusterDeps } from '../upstreams/cluster.ts'
import type { CachedKeySet } from '../tokens/key-set-cache.ts'
import { ClusterSet, type EndpointStats } from '../upstreams/cluster-set.ts'
import { createUpstreamCounters } from '../upstreams/counters.ts'
import { type Resolve, systemResolve } from '../upstreams/dns.ts'
import { connect } from './connections.ts'
import { CLOSED, WorkerEgress } from './egress.ts'
import { OpenListeners } from './open-listeners.ts'
import { Policies } from './policies.ts'
import { createBufferCollector } from './read-buffers.ts'
import { Refusals } from './refusals.ts'
import type { ApplyMessage, DataPlaneSettings, ListenerState, WorkerStats } from './messages.ts'

/** How often files of certificates and their expiry are looked at, beside the system's own notices. */
const MATERIAL_POLL_MS = 5000
/** Two files that belong together are written one after the other: both are read after so long without a change. */
const MATERIAL_SETTLE_MS = 200

/** Listeners open without Redis after so long; limits go by `whenStoreFails` then. */
const STORE_WAIT_MS = 2000

const ROUTE_NOT_FOUND: LocalReply = { status: 404, flag: 'NR', details: 'route_not_found' }
/** The client asks again on another connection. */
const MISDIRECTED: LocalReply = { status: 421, flag: 'NR', details: 'misdirected_request' }

/** What an update says of the forward proxy. */
interface EgressUpdate {
  /** Undefined: as it was. */
  plan: EgressPlan | undefined
  readonly hosts: EgressHostPlan[]
  readonly removed: string[]
}

export class DataPlane {
  readonly #settings: DataPlaneSettings
  readonly #log: Logger
  readonly #identity: RemoteIdentity
  readonly #materials: MaterialStore
  readonly #counters = createUpstreamCounters()
  readonly #http2Counters = createHttp2Counters()
  readonly #clusters: ClusterSet
  readonly #tables = new Map<string, RouteTable>()
  readonly #listeners: OpenListeners
  readonly #metrics: RequestMetrics
  readonly #tcpMetrics: TcpMetrics
  readonly #probe: ProcessProbe = createProcessProbe()
  readonly #listenerDeps: ListenerDeps
  readonly #handshakes: Omit<HandshakeOptions, 'alpn'>
  readonly #routing: RoutingDeps
  readonly #policies: Policies
  readonly #rateLimits: RateLimits
  /** The explicit forward proxy; null: there is none. */
  readonly #egress: WorkerEgress | null
  /** The policies are those that were proven last. */
  #isProven = true
  /** Null: this gateway orders no certificates. */
  readonly #challenges: ChallengeTable | null
  /** Null: nothing is shed. */
  readonly #overload: Overload | null
  /** Null: no Redis is set. */
  readonly #store: RedisStore | null
  #mesh: MeshPlan | null = null
  #epoch: Epoch | null = null
  #accessLog: AccessLogger | null = null
  /** Null: not told yet. */
  #ticketKeys: TicketKeys | null = null

  /**
   * @param resolve How names of upstreams become addresses; default as the system does it.
   * @param askForKeys Asks whoever fetches the keys of token issuers for newer ones, which come by `takeKeySet`; null:
   * they are fetched here.
   */
  constructor(
    settings: DataPlaneSettings,
    log: Logger,
    resolve: Resolve = systemResolve(settings.dnsRefreshMs),
    askForKeys: ((source: string) => void) | null = null,
  ) {
    this.#settings = settings
    this.#log = log
    this.#listeners = new OpenListeners({ create: (plan) => this.#listener(plan), drainMs: settings.drainMs })
    this.#tcpMetrics = createTcpMetrics(settings.maxSeries)
    this.#metrics = createRequestMetrics({
      maxSeries: settings.maxSeries,
      idleMs: settings.seriesIdleMs ?? Number.POSITIVE_INFINITY,
      now: Date.now,
    })
    const timers = systemTimers()
    this.#identity = createRemoteIdentity({ clock: Date.now, timers })
    this.#materials = new MaterialStore({
      timers,
      now: Date.now,
      pollMs: MATERIAL_POLL_MS,
      settleMs: MATERIAL_SETTLE_MS,
      mesh: this.#identity,
      systemRoots: () => getCACertificates('system'),
      report: (material, problem) => {
        if (problem === '') log.info({ material }, 'certificate material is good again')
        else log.error({ material, problem }, 'certificate material cannot be used')
      },
    })
    const refusals = new Refusals(log)
    this.#handshakes = {
      materials: this.#materials,
      ticketKeys: () => this.#ticketKeys,
      now: Date.now,
      report: (server, reason) => {
        refusals.tell(server, reason)
      },
    }
    const clusterDeps: ClusterDeps = {
      materials: this.#materials,
      counters: this.#counters,
      random: Math.random,
      resolve,
      dnsRefreshMs: settings.dnsRefreshMs,
      log: (level, message, facts) => {
        log[level](facts, message)
      },
    }
    this.#clusters = new ClusterSet(clusterDeps)
    this.#overload = Overload.create(settings.overload, { timers, random: Math.random })
    this.#store =
      settings.redis === null
        ? null
        : new RedisStore({
            settings: settings.redis,
            maxBuckets: settings.rateLimits.maxBuckets,
            durationBounds: STORE_BUCKETS,
            onChange: (reason) => {
              if (reason === null) log.info('Redis answers again; rate limits are shared')
              else log.error({ reason }, 'Redis cannot be used; rate limits go by whenStoreFails until it can')
            },
          })
    this.#rateLimits = new RateLimits({
      store: this.#store,
      maxBuckets: settings.rateLimits.maxBuckets,
      compileMatch: (match) => compileMatch(match),
    })
    const load = { inFlight: 0 }
    const onPassed = createBufferCollector()
    const routers = new PathRouters()
    const routing = (clusters: ForwardDeps['clusters']): RoutingDeps => {
      const forwarding: ForwardDeps = { clusters, random: Math.random, load, onPassed }
      return {
        routers,
        random: Math.random,
        setTimeout,
        compileRateLimits: (names) => this.#rateLimits.compile(names),
        compileForward: (route) => compileForward(route, forwarding),
        reply: sendLocalReply,
        onError: (error, exchange) => {
          log.error({ err: error, path: exchange.path, route: exchange.route?.origin }, 'a request failed internally')
        },
      }
    }
    this.#routing = routing(this.#clusters)
    this.#policies = new Policies({
      settings: settings.policies,
      clusters: this.#clusters,
      log,
      pass: (exchange) => {
        this.#route(exchange)
      },
      reply: sendLocalReply,
      locate: (exchange) => this.#virtualHost(exchange)?.locate(exchange) ?? null,
      rateLimits: this.#rateLimits,
      askForKeys,
    })
    this.#challenges = settings.ordersCertificates ? new ChallengeTable() : null
    const tcp = {
      clusters: this.#clusters,
      random: Math.random,
      onPassed,
      policies: this.#policies,
      onOpened: (exchange: Exchange, splice: TcpCounter) => {
        this.#tcpMetrics.opened(exchange, splice)
      },
    }
    this.#listenerDeps = {
      limits: settings.limits,
      challenges: this.#challenges,
      http2Counters: this.#http2Counters,
      proxyProtocol: settings.proxyProtocol ?? null,
      epoch: () => this.#epoch!,
      serve: (exchange) => {
        this.#serve(exchange)
      },
      reply: sendLocalReply,
      onFinished: (exchange) => {
        this.#onFinished(exchange)
      },
      passOn: (exchange, socket, route, guarded, onEnd) => {
        connect(exchange, socket, route, guarded, tcp, onEnd)
      },
      onConnectionOver: (exchange) => {
        this.#tcpMetrics.closed(exchange)
        this.#accessLog?.log(exchange, performance.now() - exchange.startedMono)
      },
    }
    const { egress } = settings
    this.#egress =
      egress === null
        ? null
        : new WorkerEgress({ settings: egress, clusters: clusterDeps, policies: this.#policies, routing, log })
  }

  /**
   * Makes the running state what `message` says. All that concerns requests changes within one turn of the event
   * loop: no request sees half of it. Ports are opened and closed afterwards.
   *
   * @returns What became of every listener.
   */
  async apply(message: ApplyMessage): Promise<ListenerState[]> {
    const { set, remove } = message.update
    const listeners: ListenerPlan[] = []
    const removedClusters: string[] = []
    const egress: EgressUpdate = { plan: undefined, hosts: [], removed: [] }
    for (const [key, text] of set) {
      const [kind, name] = splitKey(key)
      if (kind === 'cluster') this.#clusters.set(JSON.parse(text) as ClusterPlan)
      else if (kind === 'certificate') {
        this.#materials.setCertificate(name, JSON.parse(text) as CertificatePlan)
      } else if (kind === 'vhost') {
        const [table, host] = splitKey(name)
        // Parsed when the host is first asked for: most of ten thousand hosts are not.
        this.#table(table).set(host, () => JSON.parse(text) as VirtualHostPlan)
      } else if (kind === 'listener') listeners.push(JSON.parse(text) as ListenerPlan)
      else if (kind === 'mesh') this.#setMesh(JSON.parse(text) as MeshPlan)
      else if (kind === 'policies') {
        this.#policies.update(JSON.parse(text) as PoliciesPlan)
        this.#isProven = false
      } else if (kind === 'rate-limit') this.#rateLimits.set(JSON.parse(text) as RateLimitPolicyPlan)
      else if (kind === 'egress') egress.plan = JSON.parse(text) as EgressPlan
      else if (kind === 'egress-host') egress.hosts.push(JSON.parse(text) as EgressHostPlan)
    }
    const closing: string[] = []
    for (const key of remove) {
      const [kind, name] = splitKey(key)
      if (kind === 'cluster') removedClusters.push(name)
      else if (kind === 'certificate') {
        this.#materials.deleteCertificate(name)
      } else if (kind === 'vhost') {
        const [table, host] = splitKey(name)
        this.#tables.get(table)?.delete(host)
      } else if (kind === 'listener') closing.push(name)
      else if (kind === 'rate-limit') this.#rateLimits.delete(name)
      else if (kind === 'egress-host') egress.removed.push(name)
    }
    this.#epoch = {
      mesh: this.#mesh!,
      generation: message.generationText,
      generationHeader: this.#settings.generationHeader,
    }
    if (egress.plan !== undefined || egress.hosts.length + egress.removed.length > 0) {
      this.#egress?.update(egress.plan, egress.hosts, egress.removed)
    }
    for (const name of removedClusters) this.#clusters.delete(name)
    for (const name of closing) this.#listeners.close(name)
    // So that the first requests are counted with those of the other gateways already.
    if (this.#rateLimits.usesStore) await this.#store?.start(STORE_WAIT_MS)
    await this.#listeners.open(listeners, message.bindings)
    return this.#listeners.states
  }

  /**
   * Whether security policies refuse what they have to.
   *
   * @returns Null where they have not changed since they were proven last.
   */
  async prove(): Promise<readonly PolicyProof[] | null> {
    if (this.#isProven) return null
    this.#isProven = true
    return this.#policies.prove(this.#epoch!)
  }

  /** Ends: accepts nothing more, finishes what is in flight, writes what is to be written. */
  async drain(): Promise<void> {
    await this.#listeners.closeAll()
    await this.#egress?.close()
    this.#policies.close()
    this.#clusters.close()
    this.#store?.close()
    this.#overload?.close()
    this.#materials.close()
    await this.#identity.close()
    this.#probe.close()
    await this.#accessLog?.close()
  }

  /** The gateway's own certificate in its mesh; null: it has none at present. */
  setIdentity(certificate: MeshCertificate | null): void {
    this.#identity.update(certificate)
  }

  /** Sessions of clients are resumed with these, whichever worker they began at. */
  setTicketKeys(keys: TicketKeys): void {
    this.#ticketKeys = keys
  }

  /** Answers these challenges of authorities, and no others. */
  setChallenges(answers: readonly ChallengeAnswer[]): void {
    this.#challenges?.replace(answers)
  }

  takeKeySet(source: string, keySet: CachedKeySet | null): void {
    this.#policies.takeKeySet(source, keySet)
  }

  reopenLogs(): void {
    this.#accessLog?.reopen()
    this.#egress?.reopenLogs()
  }

  stats(): WorkerStats {
    const listeners = this.#listeners.all
    const clusters = [...this.#clusters.stats(), ...(this.#egress?.stats() ?? [])]
    const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0)
    return {
      metrics: snapshotOf(this.#metrics.snapshot(), {
        accessLogDropped: this.#accessLog?.dropped() ?? 0,
        downstreamConnections: sum(listeners.map(({ connections }) => connections)),
        upstreamConnections: sum(clusters.flatMap(({ endpoints }) => endpoints.map(({ connections }) => connections))),
        process: this.#probe.read(),
        dryRun: { ...this.#policies.dryRun },
        rateLimits: { rules: this.#rateLimits.counts().map(outcomesOf), store: this.#store?.stats() ?? null },
        tcp: this.#tcpMetrics.snapshot(),
        shed: { ...this.#overload?.shed },
        upstream: {
          ...this.#counters,
          ejected: clusters
            .map(({ name, endpoints }): [string, number] => [name, endpoints.filter(isEjected).length])
            .filter(([, count]) => count > 0),
        },
        ...(this.#egress === null ? {} : { egress: this.#egress.snapshot() }),
        http2: { ...this.#http2Counters },
      }),
      clusters,
      activeRequests: sum(listeners.map(({ active }) => active)),
    }
  }

  #serve(exchange: Exchange): void {
    const overloaded = this.#overload?.enter(exchange) ?? null
    if (overloaded !== null) {
      sendLocalReply(exchange, overloaded)
      return
    }
    if (!this.#rateLimits.isEmpty) this.#rateLimits.distrust(exchange)
    // Before all policies and redirects: without the answer there would be no certificate for what they guard.
    const challenge = this.#challenges?.http(exchange.path) ?? null
    if (challenge !== null) sendLocalReply(exchange, { status: 200, body: challenge, details: 'acme_http_01' })
    else if (exchange.epoch.mesh.closedBy.length > 0) sendLocalReply(exchange, CLOSED)
    else this.#policies.serve(exchange)
  }

  #virtualHost({ listener, host }: Exchange): VirtualHost | null {
    return this.#tables.get(listener.routeTable)?.lookup(host) ?? null
  }

  #route(exchange: Exchange): void {
    const virtualHost = this.#virtualHost(exchange)
    if (virtualHost === null) sendLocalReply(exchange, this.#isMisdirected(exchange) ? MISDIRECTED : ROUTE_NOT_FOUND)
    else virtualHost.handle(exchange)
  }

  /** A connection of HTTP/1.1 is one host's: there it is a mistake, and 404 as in Istio. */
  #isMisdirected({ req, host, listener }: Exchange): boolean {
    if (this.#settings.misdirectedStatus !== 421 || req.httpVersionMajor !== 2) return false
    return listener.misdirects?.(host) ?? false
  }

  #onFinished(exchange: Exchange): void {
    this.#overload?.leave(exchange)
    const durationMs = performance.now() - exchange.startedMono
    this.#metrics.record(exchange, durationMs)
    this.#accessLog?.log(exchange, durationMs)
  }

  #table(name: string): RouteTable {
    let table = this.#tables.get(name)
    if (table === undefined) {
      table = new RouteTable(this.#routing)
      this.#tables.set(name, table)
    }
    return table
  }

  #setMesh(mesh: MeshPlan): void {
    const before = this.#mesh?.accessLog ?? null
    this.#mesh = mesh
    if (JSON.stringify(before) === JSON.stringify(mesh.accessLog)) return
    void this.#accessLog?.close()
    this.#accessLog =
      mesh.accessLog === null
        ? null
        : createAccessLogger(mesh.accessLog, {
            hostname: hostname(),
            environment: process.env,
            now: () => performance.now(),
            onError: (error) => {
              this.#log.error({ err: error }, 'access log')
            },
          })
  }

  #listener(plan: ListenerPlan): Listener {
    const { port } = plan
    return new Listener(
      { port, route: this.#routeOf(plan) },
      plan.kind === 'egress' ? this.#egress!.listenerDeps(this.#listenerDeps) : this.#listenerDeps,
    )
  }

  #routeOf(plan: ListenerPlan): ListenerOptions['route'] {
    switch (plan.kind) {
      case 'http':
        return { table: plan.routeTable }
      case 'tls':
        return { tls: this.#handshakes }
      case 'tcp':
        return 'tcp'
      case 'egress':
        return { table: '' }
      default:
        return plan satisfies never
    }
  }
}

function outcomesOf({ policy, rule, ...outcomes }: RuleCounts): RuleOutcomes {
  return { policy, rule, outcomes }
}

function isEjected({ ejectedUntil }: EndpointStats): boolean {
  return typeof ejectedUntil === 'number'
}

/** `KIND/REST` → both; a name may hold further slashes. */
function splitKey(key: string): readonly [string, string] {
  const slash = key.indexOf('/')
  return slash === -1 ? [key, ''] : [key.slice(0, slash), key.slice(slash + 1)]
}
