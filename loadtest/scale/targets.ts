/** What the gateway is meant to reach, and what it reached. */
import { toMiB } from './context.ts'
import type { LargeResult } from './large.ts'
import type { ReloadResult } from './reload.ts'
import type { RoutingResult } from './routing.ts'
import type { StartResult } from './start.ts'
import type { StreamingResult } from './streaming.ts'

/** What was measured; a part that was not asked for is absent. */
export interface Measured {
  readonly start?: StartResult
  readonly large?: readonly LargeResult[]
  readonly reload?: ReloadResult
  readonly routing?: RoutingResult
  readonly streaming?: StreamingResult
}

export interface Target {
  readonly name: string
  readonly value: number
  readonly limit: number
  readonly unit: string
  readonly met: boolean
}

/** The targets of what was measured. They are meant for 10,000 VirtualServices and bodies of 1 GB. */
export function targetsOf({ start, large = [], reload, routing, streaming }: Measured): Target[] {
  const targets: Target[] = []
  const add = (name: string, value: number, limit: number, unit: string): void => {
    targets.push({ name, value, limit, unit, met: value <= limit })
  }
  if (start !== undefined) add('start with the sample configuration', start.medianMs, 1000, 'ms')
  for (const { layout, count, readMs, inForceMs } of large) {
    add(`${count} VirtualServices (${layout}) read, compiled and in force`, readMs + inForceMs, 4000, 'ms')
  }
  if (reload !== undefined) {
    add('a change of one file is served, median', reload.medianMs, 100, 'ms')
    add('p99 of other requests while changes go on / in quiet', reload.whileChanging.p99Ms / reload.quiet.p99Ms, 2, '')
    add('requests that failed during changes', sum(Object.values(reload.failures)), 0, '')
  }
  if (routing !== undefined) {
    const { few, many, ratio } = routing
    add(`CPU of a request with ${many.count} VirtualServices / with ${few.count}`, ratio, 1.2, '')
    add(`memory (PSS of all processes), ${many.count} VirtualServices`, toMiB(many.usage.pssBytes), 500, 'MiB')
  }
  if (streaming !== undefined) {
    const growth = Math.max(streaming.down.growthBytes, streaming.up.growthBytes)
    add('growth of a worker while a large body passes', toMiB(growth), 50, 'MiB')
  }
  return targets
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0)
}
