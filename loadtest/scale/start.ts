/** How long the gateway takes from its command to its ready line, with the sample configuration. */
import { join } from 'node:path'
import { median } from '../lib/statistics.ts'
import type { BenchContext } from './context.ts'
import { startGateway } from './gateway.ts'

export interface StartResult {
  /** Milliseconds of every run, in order. The first one may have to fill Node's compile cache. */
  readonly runsMs: readonly number[]
  readonly medianMs: number
}

export async function measureStart(context: BenchContext, runs: number): Promise<StartResult> {
  const { dir, root, workers, log } = context
  const runsMs: number[] = []
  for (let run = 1; run <= runs; run++) {
    const place = join(dir, `run-${run}`)
    const gateway = await startGateway({ dir: place, config: join(root, 'config'), workers, root })
    await gateway.started.stop()
    runsMs.push(gateway.readyMs)
    log(`start ${run}/${runs}: ${gateway.readyMs.toFixed(0)} ms`)
  }
  return { runsMs, medianMs: median(runsMs) }
}
