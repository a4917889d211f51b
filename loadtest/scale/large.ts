/** How long a large configuration takes from the command to the ready line, and where that time goes. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Usage, readUsage } from '../lib/process-tree.ts'
import type { BenchContext } from './context.ts'
import { type Gateway, type LogLine, startGateway } from './gateway.ts'
import { type Layout, writeResources } from './resources.ts'

export interface LargeResult {
  readonly layout: Layout
  readonly count: number
  /** From the command to the ready line, milliseconds. */
  readonly readyMs: number
  /** Files found, read, parsed and checked, milliseconds. */
  readonly readMs: number
  /** Compiled, sent to the workers and in force in all of them, milliseconds. */
  readonly inForceMs: number
  /** CPU of all processes up to then, and memory at that moment. */
  readonly usage: Usage
}

/** Writes the configuration and starts a gateway on it, which goes on running. */
export async function startLarge(
  { dir, root, workers, upstreamPort }: BenchContext,
  { name, count, layout }: { readonly name: string; readonly count: number; readonly layout: Layout },
): Promise<{ readonly gateway: Gateway; readonly config: string; readonly result: LargeResult }> {
  const config = join(dir, name, 'config')
  mkdirSync(config, { recursive: true })
  writeResources(config, count, layout, upstreamPort)
  const gateway = await startGateway({ dir: join(dir, name), config, workers, root })
  const usage = readUsage(gateway.started.pid)
  const lines = gateway.log()
  const result: LargeResult = {
    layout,
    count,
    readyMs: gateway.readyMs,
    readMs: phaseMs(lines, 'configuration read'),
    inForceMs: phaseMs(lines, 'configuration in force'),
    usage,
  }
  return { gateway, config, result }
}

/** What a log line says that a phase took; NaN where there is no such line. */
function phaseMs(lines: readonly LogLine[], message: string): number {
  return Number(lines.find(({ msg }) => msg === message)?.['ms'])
}
