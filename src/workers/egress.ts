/** The explicit forward proxy of one worker, put together, and its audit. */
import { networkInterfaces } from 'node:os'
import { auditLine } from '../egress/audit.ts'
import { EgressProxy } from '../egress/proxy.ts'
import type { Epoch } from '../exchange/exchange.ts'
import { sendLocalReply } from '../forwarding/reply.ts'
import type { ListenerDeps } from '../listeners/listener.ts'
import { createLineWriter, type LineWriter } from '../observability/line-writer.ts'
import type { Logger } from '../observability/logger.ts'
import type { EgressSnapshot } from '../observability/metrics-snapshot.ts'
import type { EgressHostPlan, EgressPlan } from '../plan/egress.ts'
import type { RoutingDeps } from '../routing/compiled-route.ts'
import type { Cluster, ClusterDeps } from '../upstreams/cluster.ts'
import type { ClusterStats } from '../upstreams/cluster-set.ts'
import type { EgressDataPlaneSettings } from './messages.ts'
import type { Policies } from './policies.ts'

export interface WorkerEgressOptions {
  readonly settings: EgressDataPlaneSettings
  readonly clusters: ClusterDeps
  readonly policies: Policies
  readonly routing: (clusters: { get(name: string): Cluster | undefined }) => RoutingDeps
  readonly log: Logger
}

/** Lines of short tunnels go out together: a write for each costs a tenth of such a tunnel. */
const AUDIT_DELAY_MS = 100

/** This machine's addresses are looked at this often at most, in ms. */
const OWN_ADDRESSES_MS = 5000

export class WorkerEgress {
  readonly #proxy: EgressProxy
  readonly #audit: LineWriter | null
  #epoch: { readonly of: Epoch; readonly made: Epoch } | null = null

  constructor({ settings, clusters, policies, routing, log }: WorkerEgressOptions) {
    this.#proxy = new EgressProxy({
      settings,
      clusters,
      isOwn: createOwnAddresses(() => performance.now()),
      policies: (exchange, pass, refuse) => {
        if (exchange.epoch.mesh.closedBy.length > 0) refuse(CLOSED)
        else policies.serveProxied(exchange, pass, refuse)
      },
      asksForTokens: () => policies.asksForTokens,
      routing,
      reply: sendLocalReply,
    })
    this.#audit =
      settings.auditLog === ''
        ? null
        : createLineWriter({
            file: settings.auditLog,
            delayMs: AUDIT_DELAY_MS,
            now: () => performance.now(),
            onError: (error) => {
              log.error({ err: error }, 'egress audit')
            },
          })
  }

  /** What the proxy's listener does with its requests, beside what all listeners do. */
  listenerDeps(base: ListenerDeps): ListenerDeps {
    return {
      ...base,
      epoch: () => this.#epochOf(base.epoch()),
      serve: (exchange) => {
        this.#proxy.serve(exchange)
      },
      connect: (request) => {
        this.#proxy.connect(request)
      },
      onFinished: (exchange) => {
        base.onFinished(exchange)
        this.#audit?.write(auditLine(exchange, performance.now() - exchange.startedMono))
      },
    }
  }

  update(plan: EgressPlan | undefined, hosts: readonly EgressHostPlan[], removed: readonly string[]): void {
    this.#proxy.update(plan, hosts, removed)
  }

  snapshot(): EgressSnapshot {
    return this.#proxy.counts()
  }

  stats(): ClusterStats[] {
    return this.#proxy.stats()
  }

  reopenLogs(): void {
    this.#audit?.reopen()
  }

  async close(): Promise<void> {
    this.#proxy.close()
    await this.#audit?.close()
  }

  /**
   * A forward proxy believes no client about who it speaks for, and leaves what it passes on as it is: the id that a
   * client gave its request, the server's own name.
   */
  #epochOf(of: Epoch): Epoch {
    if (this.#epoch?.of !== of) {
      const mesh = {
        ...of.mesh,
        trustedProxies: 0,
        serverHeader: null,
        envoyDebugHeaders: false,
        attemptCountHeader: false,
        requestIdHeader: false,
        forwardedHostHeader: false,
        forwardedPortHeader: false,
      }
      this.#epoch = { of, made: { ...of, mesh } }
    }
    return this.#epoch.made
  }
}

/** While a security policy is not understood, everything that it could guard is refused. */
export const CLOSED = {
  status: 403,
  body: 'RBAC: access denied',
  details: 'rbac_access_denied_matched_policy[none]',
} as const

/** @returns Whether an address is one of this machine's: what listens there is not meant for the proxy's clients. */
function createOwnAddresses(now: () => number): (address: string) => boolean {
  let own = new Set<string>()
  let readAt = Number.NEGATIVE_INFINITY
  return (address) => {
    if (now() - readAt > OWN_ADDRESSES_MS) {
      own = new Set(
        Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map((entry) => entry.address)),
      )
      readAt = now()
    }
    return own.has(address)
  }
}
