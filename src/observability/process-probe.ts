/** A process' own figures for the metrics: memory, CPU time, and how late its event loop is. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { ProcessFacts } from './metrics-snapshot.ts'

export interface ProcessProbe {
  /** Figures now; the event loop's delay is that since the last reading. */
  read(): ProcessFacts
  close(): void
}

const NANOSECONDS = 1e9

/** @param resolutionMs How often the event loop's delay is sampled. */
export function createProcessProbe(resolutionMs = 20): ProcessProbe {
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  return {
    read() {
      const memory = process.memoryUsage()
      const cpu = process.cpuUsage()
      // Before its first sample the histogram's mean is NaN and its maximum 0.
      const eventLoopDelay = {
        mean: (Number.isNaN(delay.mean) ? 0 : delay.mean) / NANOSECONDS,
        p99: delay.percentile(99) / NANOSECONDS,
        max: delay.max / NANOSECONDS,
      }
      delay.reset()
      return {
        residentMemoryBytes: memory.rss,
        heapUsedBytes: memory.heapUsed,
        cpuSeconds: (cpu.user + cpu.system) / 1e6,
        eventLoopDelay,
      }
    },
    close: () => {
      delay.disable()
    },
  }
}
