/** The line that says that the gateway serves: for scripts and service managers that wait for it. */
import { formatHostPort, type HostPort } from '../settings/values.ts'

export interface ReadyListener {
  /** The Gateway server's port. */
  readonly port: number
  /** Where it is bound. */
  readonly local: HostPort
}

/** What a gateway can say of itself once every listener of its first plan is bound. */
export interface ReadyReport {
  readonly listeners: readonly ReadyListener[]
  /** The explicit forward proxy; null: there is none, or it could not be bound. */
  readonly egress: HostPort | null
  readonly admin: HostPort
  readonly status: HostPort
  readonly workers: number
  /** Generation of the plan. */
  readonly generation: number
}

/** One JSON object on one line, ended by a newline. */
export function readyLine({ listeners, egress, admin, status, workers, generation }: ReadyReport): string {
  const line = {
    msg: 'ready',
    listeners: listeners.map(({ port, local }) => ({ port, address: formatHostPort(local) })),
    ...(egress === null ? {} : { egress: formatHostPort(egress) }),
    admin: formatHostPort(admin),
    status: formatHostPort(status),
    workers,
    generation,
  }
  return `${JSON.stringify(line)}\n`
}
