/** Timing for the small benchmarks: rounds in turn, medians, CPU time of this process. */
import Table from 'cli-table3'

/** CPU time of this process, all threads, in µs. */
export function cpuMicros(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

/** Nanoseconds for one call of each function: rounds in turn, so that a slow moment of the machine hits all of them. */
export function nanosPerCall(
  functions: Readonly<Record<string, () => unknown>>,
  { rounds = 7, calls = 20_000 } = {},
): Record<string, number> {
  const samples: Record<string, number[]> = {}
  let sink = 0
  for (let round = -1; round < rounds; round++) {
    for (const [name, call] of Object.entries(functions)) {
      const began = process.hrtime.bigint()
      for (let i = 0; i < calls; i++) if (call() !== undefined) sink++
      const each = Number(process.hrtime.bigint() - began) / calls
      // The first round warms up.
      if (round >= 0) (samples[name] ??= []).push(each)
    }
  }
  if (sink < 0) throw new Error('unreachable')
  return Object.fromEntries(Object.entries(samples).map(([name, list]) => [name, median(list)]))
}

export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const table = new Table({ head: [...head], style: { head: [], border: [] } })
  for (const row of rows) table.push(row.map((cell) => (typeof cell === 'number' ? round(cell) : cell)))
  process.stdout.write(`${table.toString()}\n`)
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
