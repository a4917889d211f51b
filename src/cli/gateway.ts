/** The composition root of a serving gateway: sources → store → compiler → workers, and what watches over them. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createMeshIdentity } from '../certificates/mesh/create.ts'
import { TicketKeyRing } from '../certificates/ticket-keys.ts'
import { createCompiler } from '../compile/compile.ts'
import { EGRESS_LISTENER } from '../compile/egress/egress.ts'
import { systemTimers } from '../lib/timers.ts'
import type { ProxyProtocolSettings } from '../listeners/proxied-clients.ts'
import { type CertificateExpiry, createExpiryReader } from '../observability/certificate-expiry.ts'
import { createHealth } from '../observability/health.ts'
import { createLogger, type Logger } from '../observability/logger.ts'
import { createMetricsAggregator } from '../observability/metrics-aggregator.ts'
import { createMetricsPage } from '../observability/metrics.ts'
import { createProcessProbe } from '../observability/process-probe.ts'
import { createStatusServer } from '../observability/status-server.ts'
import { createResourceStore } from '../resources/store.ts'
import { compileOptions } from '../settings/compile-options.ts'
import type { Settings } from '../settings/load.ts'
import { type HostPort, parseHostPort } from '../settings/values.ts'
import { createFileSource } from '../sources/files/file-source.ts'
import { createSavedSnapshot } from '../sources/saved.ts'
import { Bindings } from '../workers/bindings.ts'
import { Controller } from '../workers/controller.ts'
import { KeySets } from '../workers/key-sets.ts'
import type { DataPlaneSettings, EgressDataPlaneSettings } from '../workers/messages.ts'
import { keyDeps, type PoliciesSettings } from '../workers/policies.ts'
import { WorkerPool } from '../workers/pool.ts'
import { policyProofs } from '../workers/proofs.ts'
import { packageVersion } from './commands/version.ts'
import { CommandFailure } from './exit.ts'
import { createAcme } from './gateway-acme.ts'
import { watchCertificates } from './gateway-certificates.ts'
import { createAdmin } from './gateway-admin.ts'
import type { GatewayHooks, RunGateway } from './gateway-hooks.ts'
import { redisSettings } from './redis-settings.ts'
import { meshIdentity, ownAddress } from './gateway-identity.ts'

export const runGateway: RunGateway = async (settings, hooks) => {
  const log = createLogger({ level: settings.logLevel })
  for (const notice of hooks.notices) log.warn(notice)
  const ended = endOnSignals(log)
  try {
    const gateway = await startGateway(settings, hooks, log, ended.second)
    process.on('SIGHUP', gateway.reload)
    await ended.first
    log.info('draining: requests in flight finish, nothing new is accepted')
    await Promise.race([gateway.drain(), ended.second])
    process.off('SIGHUP', gateway.reload)
    return 0
  } finally {
    ended.close()
  }
}

/** How long a key seals new tickets of TLS sessions: a session lives for a sixth of it. */
const TICKET_KEY_LIFE_MS = 12 * 3_600_000

/** The gateway is ready without its certificate of the mesh after so long. */
const IDENTITY_WAIT_MS = 5000

interface RunningGateway {
  readonly reload: () => void
  /** Finishes what is in flight and closes everything. */
  drain(): Promise<void>
}

/** @param atOnce Settles when nothing is waited for any longer: the workers end with what they have in flight. */
async function startGateway(
  settings: Settings,
  hooks: GatewayHooks,
  log: Logger,
  atOnce: Promise<void>,
): Promise<RunningGateway> {
  const version = packageVersion()
  const workload = meshIdentity(settings, process.env)
  const identity = createMeshIdentity(settings.identity, {
    clock: Date.now,
    timers: systemTimers(),
    trustDomain: settings.mesh.trustDomain,
    namespace: settings.namespace,
    random: Math.random,
    log,
  })
  const tickets = new TicketKeyRing({ timers: systemTimers(), lifeMs: TICKET_KEY_LIFE_MS, random: randomBytes })
  const certificates = watchCertificates(log)
  const { maxSeries, idleExpiry } = settings.metrics
  const aggregator = createMetricsAggregator({
    maxSeries,
    idleMs: idleExpiry ?? Number.POSITIVE_INFINITY,
    now: Date.now,
  })
  const acme = createAcme(settings, version, {
    log,
    answer: (answers) => pool.setChallenges(answers),
    onChange: () => void controller.refresh(),
  })
  const store = createResourceStore()
  const compiler = createCompiler(compileOptions(settings))
  const saved = createSavedSnapshot({ path: join(settings.state, 'snapshot.json'), store, log, timers: systemTimers() })
  const source = createFileSource({
    paths: settings.config,
    store,
    onChange: () => {
      void controller.refresh()
      saved.changed()
    },
    log,
    timers: systemTimers(),
  })
  const controller: Controller = new Controller({
    source: {
      compile: () => {
        const { plan, problems } = compiler.compile(store.snapshot(), acme?.issued())
        const placed = problems.map((problem) => store.place(problem))
        return { plan, problems: [...source.problems(), ...store.problems(), ...placed] }
      },
    },
    bindings: new Bindings(settings),
    apply: async (message) => {
      if (controller.plan !== null) keySets.use(controller.plan.policies)
      const applied = pool.apply(message)
      // Node writes what it compiled at the exit otherwise: the first one after an install took seconds. Now the
      // workers do the same.
      if (message.generation === 1) flushCompileCache()
      await applied
    },
    onInForce: (plan) => {
      acme?.update(plan.acme ?? {})
      certificates.watch.update(plan)
    },
    log,
  })
  const keySets: KeySets = new KeySets(keyDeps(policiesSettings(settings), log), (source, keySet) => {
    pool.setKeySet(source, keySet)
  })
  // Workers take as long to start as the first reading of the configuration: both go on at the same time.
  const pool = new WorkerPool({
    count: settings.workers,
    settings: dataPlaneSettings(settings),
    log,
    current: () => controller.current(),
    metrics: aggregator,
    keySets,
    identity: () => identity?.current() ?? null,
    ticketKeys: () => tickets.keys,
    challenges: () => acme?.challenges() ?? [],
  })
  tickets.onChange((keys) => {
    pool.setTicketKeys(keys)
  })
  identity?.onChange(() => {
    pool.setIdentity(identity.current())
  })
  void atOnce.then(() => pool.kill())

  const readExpiries = createExpiryReader((path) => readFile(path, 'utf8'))
  let expiries: readonly CertificateExpiry[] = []
  const health = createHealth()
  const probe = createProcessProbe()
  const page = createMetricsPage({
    identity: workload,
    aggregator,
    facts: () => ({
      version,
      generation: controller.generation.number,
      rejectedObjects: store.rejected().length,
      reloads: controller.reloads,
      listeners: [
        ...pool.listenerStates().map(({ port, error }) => ({ port, up: error === null })),
        ...Object.keys(controller.failures).map((name) => ({
          port: controller.plan?.listeners[name]?.port ?? 0,
          up: false,
        })),
      ],
      policies: policyProofs(controller.plan?.policies ?? null, pool.proofs()),
      certificates: expiries,
      acmeOrders: acme?.results ?? null,
      now: Date.now(),
      keySets: keySets.facts(),
      process: probe.read(),
    }),
    refresh: async () => {
      await pool.stats()
      expiries = await readExpiries(Object.values(controller.plan?.certificates ?? {}))
    },
  })
  const status = createStatusServer({
    isReady: () => health.isReady(),
    isLive: () => health.isLive(),
    metricsText: () => page.text(),
    metricsContentType: page.contentType,
    onError: (error) => {
      log.error({ err: error }, 'metrics could not be read')
    },
  })
  const admin = createAdmin({
    settings,
    version,
    store,
    compiler,
    controller,
    pool,
    source,
    health,
    page,
    log,
    identity,
    acme,
    certificates: certificates.watch,
    drain: () => process.kill(process.pid, 'SIGTERM'),
  })
  const close = async (): Promise<void> => {
    await Promise.all([source.close(), saved.close(), admin.close(), status.close(), identity?.close(), acme?.close()])
    probe.close()
    keySets.close()
    tickets.close()
    certificates.close()
  }
  const [statusAddress, adminAddress] = await Promise.all([
    listenOn('status', settings.status, (port, host) => status.listen(port, host)),
    listenOn('admin', settings.admin, (port, host) => admin.listen(port, host)),
    source.start().then(async () => {
      // Before the first plan: what was issued is served from the first handshake on.
      await acme?.start()
      if (store.wantsRestore() || source.isPartial()) await saved.restore((name) => source.isUnreadable(name))
    }),
  ]).catch(async (error: unknown) => {
    // What runs already would keep the process alive.
    pool.kill()
    await close()
    throw error
  })
  // What needs the certificate fails without it; a CA that does not answer must not keep all else from serving.
  await Promise.race([identity?.started, delay(IDENTITY_WAIT_MS, undefined, { ref: false })])
  await controller.refresh()
  saved.changed()
  health.markReady()
  hooks.onReady({
    listeners: pool
      .listenerStates()
      .filter(({ error, name }) => error === null && name !== EGRESS_LISTENER)
      .map(({ port, name }) => ({ port, local: controller.bindings[name]! })),
    egress: controller.bindings[EGRESS_LISTENER] ?? null,
    admin: adminAddress,
    status: statusAddress,
    workers: settings.workers,
    generation: controller.generation.number,
  })

  return {
    reload: () => {
      log.info('SIGHUP: reading the configuration again, reopening logs')
      pool.reopenLogs()
      void source.rescan()
      acme?.retryNow()
    },
    async drain() {
      health.markDraining()
      controller.close()
      // An order that is under way goes on where it stands after the next start.
      await Promise.all([acme?.close(), pool.drain()])
      await close()
    },
  }
}

/** Null: no connection begins with a PROXY header. */
function proxyProtocolOf({ downstream, mesh }: Settings): ProxyProtocolSettings | null {
  const { ports, trustedSources } = downstream.proxyProtocol
  if (mesh.defaultConfig.gatewayTopology.proxyProtocol !== null) return { ports: null, trustedSources }
  return ports.length === 0 ? null : { ports, trustedSources }
}

function dataPlaneSettings(settings: Settings): DataPlaneSettings {
  const { downstream, metrics, mesh, egress } = settings
  return {
    limits: {
      maxHeaders: downstream.maxRequestHeaders,
      maxHeadBytes: downstream.maxRequestHeadersKb * 1024,
      headersTimeoutMs: downstream.headersTimeout ?? 0,
      requestTimeoutMs: downstream.requestTimeout ?? 0,
      idleTimeoutMs: downstream.idleTimeout ?? 0,
      maxConnections: downstream.maxConnections ?? 0,
      ownAddress: ownAddress(process.env),
      http2: {
        maxConcurrentStreams: downstream.http2MaxConcurrentStreams,
        streamWindowBytes: downstream.http2StreamWindowKb * 1024,
        resetsPerSecond: downstream.http2ResetsPerSecond,
      },
    },
    proxyProtocol: proxyProtocolOf(settings),
    dnsRefreshMs: mesh.dnsRefreshRate,
    misdirectedStatus: downstream.misdirected === 'NOT_FOUND' ? 404 : 421,
    generationHeader: settings.generationHeader?.toLowerCase() ?? null,
    drainMs: mesh.defaultConfig.drainDuration,
    maxSeries: metrics.maxSeries,
    seriesIdleMs: metrics.idleExpiry,
    logLevel: settings.logLevel,
    redis: redisSettings(settings),
    overload: {
      maxActiveRequests: settings.overload.maxActiveRequests ?? 0,
      maxEventLoopDelayMs: settings.overload.maxEventLoopDelay ?? 0,
    },
    rateLimits: { maxBuckets: settings.rateLimits.maxBuckets },
    ordersCertificates: Object.keys(settings.acme.issuers).length > 0,
    policies: policiesSettings(settings),
    egress: egress.listen === null ? null : egressSettings(settings),
  }
}

function egressSettings({ egress, mesh }: Settings): EgressDataPlaneSettings {
  return {
    auditLog: egress.auditLog,
    allowEncryptedClientHello: egress.encryptedClientHello === 'allow',
    helloTimeoutMs: egress.clientHelloTimeout,
    tunnelIdleMs: egress.tunnelIdleTimeout,
    maxTunnels: egress.maxTunnels ?? 0,
    maxDestinations: egress.maxDestinations,
    idleMs: egress.destinationIdleTimeout,
    connectTimeoutMs: mesh.connectTimeout,
    via: egress.via.map(({ hosts, proxy }) => ({ hosts, proxy: proxy.reveal() })),
    noProxy: egress.noProxy,
  }
}

function policiesSettings({ jwt, state }: Settings): PoliciesSettings {
  return { staleKeysMaxAgeMs: jwt.staleKeysMaxAge, keySetFolder: join(state, 'key-sets') }
}

async function listenOn(
  what: string,
  { host, port }: HostPort,
  listen: (port: number, host: string) => Promise<string>,
): Promise<HostPort> {
  try {
    const bound = await listen(port, host)
    return parseHostPort(bound, host) ?? { host, port }
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'it is taken' : (error as Error).message
    throw new CommandFailure(
      `the ${what} port ${host}:${port} cannot be bound: ${reason}. Choose another with --${what}.`,
    )
  }
}

/** SIGTERM and SIGINT: the first begins the end, the second does not wait for it. */
function endOnSignals(log: Logger) {
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  let count = 0
  const onSignal = (signal: string) => {
    count++
    log.info({ signal }, count === 1 ? 'asked to end' : 'asked again: ending at once')
    if (count === 1) first.resolve()
    else second.resolve()
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  return {
    first: first.promise,
    second: second.promise,
    close: () => {
      process.off('SIGTERM', onSignal)
      process.off('SIGINT', onSignal)
    },
  }
}
