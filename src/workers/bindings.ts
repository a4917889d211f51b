/**
 * Where the listeners of a plan are bound on this machine. Worked out once by the primary, so that all workers share
 * the same port even where any free one was asked for.
 */
import { createServer } from 'node:net'
import type { ListenerPlan } from '../plan/listener.ts'
import type { Binding } from './messages.ts'

export interface BindingSettings {
  /** `--listen PORT=[HOST:]PORT`; a null host is what `bind` or `address` says. */
  readonly listen: readonly { readonly port: number; readonly host: string | null; readonly localPort: number }[]
  /** `--address`; null: every address, IPv4 and IPv6. */
  readonly address: string | null
  /** False: ports 80 and 443 are bound as 8080 and 8443 where `listen` does not say. */
  readonly bindsLowPorts: boolean
}

export interface BoundListeners {
  readonly bindings: Readonly<Record<string, Binding>>
  /** By name of the listener: why it could not be bound. */
  readonly failures: Readonly<Record<string, string>>
}

const UNPRIVILEGED: Readonly<Record<number, number>> = { 80: 8080, 443: 8443 }

/**
 * Remembers what it bound: a listener that stays keeps its port, a free one that was picked too.
 */
export class Bindings {
  readonly #settings: BindingSettings
  readonly #known = new Map<string, { readonly wanted: string; readonly binding: Binding }>()

  constructor(settings: BindingSettings) {
    this.#settings = settings
  }

  /** Finds out for every listener where it is bound; a port that is taken is a failure of that listener alone. */
  async resolve(listeners: readonly ListenerPlan[]): Promise<BoundListeners> {
    const names = new Set(listeners.map(({ name }) => name))
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name)
    const bindings: Record<string, Binding> = {}
    const failures: Record<string, string> = {}
    for (const listener of listeners) {
      const wanted = this.#wanted(listener)
      const text = `${wanted.host} ${wanted.port}`
      const known = this.#known.get(listener.name)
      if (known?.wanted === text) {
        bindings[listener.name] = known.binding
        continue
      }
      try {
        const binding = { host: wanted.host, port: await probe(wanted) }
        this.#known.set(listener.name, { wanted: text, binding })
        bindings[listener.name] = binding
      } catch (error) {
        this.#known.delete(listener.name)
        failures[listener.name] = explain(error as NodeJS.ErrnoException, listener, wanted)
      }
    }
    return { bindings, failures }
  }

  #wanted({ kind, port, bind }: ListenerPlan): Binding {
    // Where it listens is its own setting, and no Gateway's port.
    if (kind === 'egress') return { host: bind, port }
    const { listen, address, bindsLowPorts } = this.#settings
    const mapping = listen.find((entry) => entry.port === port)
    const host = mapping?.host ?? bind ?? address ?? '::'
    return { host, port: mapping?.localPort ?? (bindsLowPorts ? port : (UNPRIVILEGED[port] ?? port)) }
  }
}

/**
 * Binds the address for a moment, alone: workers share their ports (SO_REUSEPORT), and with a stranger they would share
 * theirs in silence.
 *
 * @returns The port, picked by the system where 0 was asked for.
 */
async function probe({ host, port }: Binding): Promise<number> {
  const server = createServer()
  try {
    return await new Promise<number>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port }, () => resolve((server.address() as { port: number }).port))
    })
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
}

function explain(error: NodeJS.ErrnoException, listener: ListenerPlan, { host, port }: Binding): string {
  const place = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const remedy = listener.kind === 'egress' ? '--egress [HOST:]PORT' : `--listen ${listener.port}=PORT`
  switch (error.code) {
    case 'EADDRINUSE':
      return `${place} is taken by another program; end that one, or bind this port elsewhere with ${remedy}`
    case 'EACCES':
      return `${place} may not be bound by this user; bind this port to one above 1023 with ${remedy}`
    case 'EADDRNOTAVAIL':
      return `${host} is no address of this machine; correct the server's bind or --address`
    default:
      return `${place} cannot be bound: ${error.message}`
  }
}
