/** What the admin API shows, gathered from the parts of a running gateway. */
import type { AdminModel, SourceState } from '../admin/model.ts'
import type { MeshCertificateState } from '../admin/mesh-certificate.ts'
import { createAdminServer } from '../admin/server.ts'
import type { AcmeManager } from '../certificates/acme/manager.ts'
import type { CertificateWatch } from '../certificates/certificate-watch.ts'
import type { ManagedIdentity } from '../certificates/mesh/managed-identity.ts'
import type { Compiler } from '../compile/compile.ts'
import type { Health } from '../observability/health.ts'
import { type Logger, parseLogLevel } from '../observability/logger.ts'
import type { MetricsPage } from '../observability/metrics.ts'
import type { ResourceStore } from '../resources/store.ts'
import { explain } from './gateway-explain.ts'
import type { Settings } from '../settings/load.ts'
import { asFound, type FileSource, isWithin } from '../sources/files/file-source.ts'
import type { Controller } from '../workers/controller.ts'
import type { ListenerState } from '../workers/messages.ts'
import type { WorkerPool } from '../workers/pool.ts'
import { policyProofs } from '../workers/proofs.ts'

export interface AdminParts {
  readonly settings: Settings
  readonly version: string
  readonly store: ResourceStore
  readonly compiler: Compiler
  readonly controller: Controller
  readonly pool: WorkerPool
  readonly source: FileSource
  readonly health: Health
  readonly page: MetricsPage
  readonly log: Logger
  /** Null: the gateway has no identity in a mesh. */
  readonly identity: ManagedIdentity | null
  /** Null: no certificate is ever ordered. */
  readonly acme: AcmeManager | null
  /** Which certificates cannot be used. */
  readonly certificates: CertificateWatch
  /** Begins to drain, as SIGTERM does. */
  readonly drain: () => void
}

export interface AdminServer {
  /** @returns The bound address as `HOST:PORT`. */
  listen(port: number, host: string): Promise<string>
  close(): Promise<void>
}

export function createAdmin(parts: AdminParts): AdminServer {
  const { settings, log } = parts
  const app = createAdminServer({
    model: adminModel(parts),
    host: settings.admin.host,
    now: Date.now,
    onError: (error) => {
      log.error({ err: error }, 'an admin request failed')
    },
  })
  return {
    async listen(port, host) {
      await app.listen({ port, host })
      const address = app.server.address()
      return typeof address === 'object' && address !== null ? `${bracketed(host)}:${address.port}` : `${host}:${port}`
    },
    async close() {
      await app.close()
    },
  }
}

function adminModel(parts: AdminParts): AdminModel {
  const { version, store, compiler, controller, pool, health, page, log, acme, drain } = parts
  return {
    version,
    plan: () => controller.plan,
    generation: () => ({ number: controller.generation.number, text: controller.generationText }),
    // The analytic findings are worked out when somebody looks, not at every reload.
    problems: () => [...controller.problems, ...compiler.analyze(store.snapshot()).map((found) => store.place(found))],
    sources: () => sourceStates(parts),
    workers: () => pool.states(),
    policies: () => policyProofs(controller.plan?.policies ?? null, pool.proofs()),
    listenerStates: () => [...pool.listenerStates(), ...unbound(controller)],
    clusterStats: async () => (await pool.stats()).flatMap(({ clusters }) => clusters),
    meshCertificate: () => meshCertificate(parts),
    orderedCertificates: () => acme?.states() ?? [],
    certificateProblems: () => parts.certificates.problems(),
    isReady: () => health.isReady(),
    metricsText: () => page.text(),
    metricsContentType: page.contentType,
    logLevel: () => log.level,
    setLogLevel: (level) => {
      log.level = level
      pool.setLogLevel(parseLogLevel(level) ?? 'info')
    },
    drain,
    explain: (request) => (controller.plan === null ? null : explain(controller.plan, request)),
  }
}

function meshCertificate({ settings, identity }: AdminParts): MeshCertificateState | null {
  const { provider } = settings.identity
  if (identity === null || provider === 'off') return null
  const { renewAt, problem } = identity.status()
  return { provider, certificateChain: identity.current()?.certificateChain ?? null, renewAt, problem }
}

function sourceStates({ settings, source, store, controller }: AdminParts): SourceState[] {
  const files = new Map<string, number>()
  for (const { source: file } of store.saved()) files.set(file, (files.get(file) ?? 0) + 1)
  const under = (path: string) =>
    [...files].reduce((sum, [file, count]) => (isWithin(file, path) ? sum + count : sum), 0)
  const errors = source.problems().filter(({ severity }) => severity === 'error')
  return settings.config.map((name) => {
    const path = asFound(name)
    return {
      name,
      objects: under(path),
      readAt: controller.generation.since === 0 ? null : controller.generation.since,
      error: errors.find(({ origin }) => origin.source === path)?.message ?? null,
    }
  })
}

/** Listeners of the plan whose port could not be bound. */
function unbound({ failures, plan }: Controller): ListenerState[] {
  return Object.entries(failures).map(([name, error]) => ({
    name,
    port: plan?.listeners[name]?.port ?? 0,
    address: '',
    error,
  }))
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
