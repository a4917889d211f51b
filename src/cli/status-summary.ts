/** What `sluice status` makes of the admin API's `/status`, which an older or newer gateway may write differently. */
import type { StatusView } from '../admin/status.ts'
import { formatProblem, type Problem } from '../plan/problem.ts'
import { oneLine } from './output.ts'
import { isItem, itemsOf } from './rows.ts'

export interface StatusSummary {
  /** Every worker serves the newest plan, every source could be read, every listener is up. */
  readonly inStep: boolean
  /** `NUMBER-HASH` */
  readonly generation: string
  readonly workers: readonly (readonly [id: string, pid: string, generation: string, restarts: string])[]
  /** Sources that cannot be read, listeners that are down, certificates that cannot be issued or used; a line each. */
  readonly trouble: readonly string[]
  /** A line for each reason why an object was rejected. */
  readonly rejected: readonly string[]
  /** How many security policies were seen to refuse what they have to, of all. */
  readonly proven: string | undefined
  /** A line for each policy that was not, with the reason. */
  readonly notProven: readonly string[]
  /** Set while security policies keep every request out. */
  readonly closedBy: string | undefined
}

export function summariseStatus(body: unknown): StatusSummary {
  const status: Partial<StatusView> = isItem(body) ? body : {}
  const closing = itemsOf(status.closedBy).map(
    ({ kind, namespace, name }) => `${text(kind)} ${text(namespace)}/${text(name)}`,
  )
  return {
    inStep: status.inStep === true,
    generation: text(status.configuration ?? status.generation),
    workers: itemsOf(status.workers).map(({ id, pid, generation, restarts }) => [
      text(id),
      text(pid),
      text(generation),
      text(restarts),
    ]),
    trouble: [
      ...itemsOf(status.workers)
        .filter(({ problem }) => typeof problem === 'string')
        .map(({ id, problem }) => `worker ${text(id)} could not apply an update: ${text(problem)}`),
      ...itemsOf(status.sources)
        .filter(({ error }) => typeof error === 'string')
        .map(({ name, error }) => `${text(name)} cannot be read: ${text(error)}`),
      ...itemsOf(status.listenersDown).map(
        ({ port, errors }) =>
          `the listener of port ${text(port)} is down: ${Array.isArray(errors) ? errors.join(', ') : '-'}`,
      ),
      ...itemsOf(status.certificates).map(
        ({ name, issuer, lastError }) => `${text(name)} cannot be issued by ${text(issuer)}: ${text(lastError)}`,
      ),
      ...itemsOf(status.unusableCertificates).map(
        ({ name, problem }) => `certificate ${text(name)} cannot be used as it is: ${text(problem)}`,
      ),
    ],
    rejected: itemsOf(status.rejected).flatMap(({ problems }) =>
      itemsOf(problems).map((problem) => oneLine(formatProblem(problem as unknown as Problem))),
    ),
    ...policiesOf(itemsOf(status.policies)),
    closedBy: closing.length === 0 ? undefined : oneLine(closing.join(', ')),
  }
}

function policiesOf(policies: ReturnType<typeof itemsOf>): Pick<StatusSummary, 'proven' | 'notProven'> {
  const others = policies.filter(({ state }) => state !== 'proven')
  return {
    proven: policies.length === 0 ? undefined : `${policies.length - others.length} of ${policies.length}`,
    notProven: others.map(
      ({ kind, namespace, name, state, because }) =>
        `${text(state)}: ${text(kind)} ${text(namespace)}/${text(name)}: ${text(because)}`,
    ),
  }
}

function text(value: unknown): string {
  if (value === undefined || value === null) return '-'
  return oneLine(typeof value === 'string' ? value : JSON.stringify(value))
}
