/** The listeners of a worker by their names, those that are open and those that finish what they have in flight. */
import type { Listener } from '../listeners/listener.ts'
import type { ListenerPlan } from '../plan/listener.ts'
import type { Binding, ListenerState } from './messages.ts'

interface OpenListener {
  readonly plan: ListenerPlan
  readonly binding: Binding
  readonly listener: Listener
  state: ListenerState
}

export interface OpenListenersOptions {
  readonly create: (plan: ListenerPlan) => Listener
  /** Time for the requests in flight when a listener closes. */
  readonly drainMs: number
}

export class OpenListeners {
  readonly #options: OpenListenersOptions
  readonly #open = new Map<string, OpenListener>()
  readonly #closing = new Set<Promise<void>>()

  constructor(options: OpenListenersOptions) {
    this.#options = options
  }

  get all(): readonly Listener[] {
    return [...this.#open.values()].map(({ listener }) => listener)
  }

  /** What became of each. */
  get states(): ListenerState[] {
    return [...this.#open.values()].map(({ state }) => state)
  }

  /**
   * Opens what is new, and tells what is open of its new plan; a listener whose socket has to be another one is closed
   * and opened anew. What cannot be bound has its reason in its state.
   *
   * @param bindings By the listeners' names; one without is closed.
   */
  async open(plans: readonly ListenerPlan[], bindings: Readonly<Record<string, Binding>>): Promise<void> {
    await Promise.all(
      plans.map(async (plan) => {
        const binding = bindings[plan.name]
        const open = this.#open.get(plan.name)
        if (open !== undefined && binding !== undefined && sameSocket(open, plan, binding)) {
          this.#open.set(plan.name, { ...open, plan })
          update(open.listener, plan)
          return
        }
        if (open !== undefined) this.close(plan.name)
        if (binding !== undefined) await this.#openOne(plan, binding)
      }),
    )
  }

  /** Accepts nothing more there. */
  close(name: string): void {
    const open = this.#open.get(name)
    if (open === undefined) return
    this.#open.delete(name)
    const closing = open.listener.drain(this.#options.drainMs)
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }

  /** Resolves when nothing is in flight, or its time is over. */
  async closeAll(): Promise<void> {
    for (const name of this.#open.keys()) this.close(name)
    await Promise.all(this.#closing)
  }

  async #openOne(plan: ListenerPlan, binding: Binding): Promise<void> {
    const listener = this.#options.create(plan)
    const state = { name: plan.name, port: plan.port, address: `${binding.host}:${binding.port}`, error: null }
    const open: OpenListener = { plan, binding, listener, state }
    update(listener, plan)
    this.#open.set(plan.name, open)
    try {
      await listener.listen(binding)
    } catch (error) {
      open.state = { ...state, error: (error as Error).message }
    }
  }
}

function update(listener: Listener, plan: ListenerPlan): void {
  if (plan.kind === 'tls' || plan.kind === 'tcp') listener.update(plan)
}

function sameSocket(open: OpenListener, plan: ListenerPlan, binding: Binding): boolean {
  return (
    open.state.error === null &&
    open.plan.kind === plan.kind &&
    open.binding.host === binding.host &&
    open.binding.port === binding.port &&
    (plan.kind !== 'http' || (open.plan.kind === 'http' && open.plan.routeTable === plan.routeTable))
  )
}
