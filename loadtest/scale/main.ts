/**
 * `npm run bench:scale`: start, many VirtualServices, changes under load, memory. See ../README.md.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { ensureTools, findCommand, thisMachine } from '../../test/support/tools.ts'
import { NGINX } from '../lib/nginx.ts'
import { startUpstream } from '../lib/upstream.ts'
import type { BenchContext } from './context.ts'
import { type LargeResult, startLarge } from './large.ts'
import { measureReload } from './reload.ts'
import { formatReport, makeReport } from './report.ts'
import { measureRouting } from './routing.ts'
import { measureStart } from './start.ts'
import { measureStreaming } from './streaming.ts'
import type { Measured } from './targets.ts'

const PARTS = ['start', 'large', 'routing', 'reload', 'streaming'] as const
type Part = (typeof PARTS)[number]

interface Options {
  readonly only: readonly Part[]
  readonly count: number
  readonly workers: number
  readonly quick: boolean
  readonly json?: string
}

/** VirtualServices of the configuration that the large one is compared with. */
const FEW = 10

/** How much of everything is measured. */
const USUAL = {
  starts: 7,
  reload: { changes: 20, requestsPerSecond: 300 },
  routing: { rounds: 5, seconds: 5, connections: 32 },
  streaming: { bodyBytes: 1024 ** 3, bytesPerSecond: 128 * 1024 ** 2 },
}
const QUICK: typeof USUAL = {
  starts: 3,
  reload: { changes: 8, requestsPerSecond: 300 },
  routing: { rounds: 2, seconds: 2, connections: 32 },
  streaming: { bodyBytes: 256 * 1024 ** 2, bytesPerSecond: 128 * 1024 ** 2 },
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('Expected a whole number from 1.')
  return number
}

function partsNamed(text: string): readonly Part[] {
  const names = text.split(',')
  const parts = PARTS.filter((part) => names.includes(part))
  if (parts.length === names.length) return parts
  throw new InvalidArgumentError(`Expected some of ${PARTS.join(', ')}, joined by commas.`)
}

function readOptions(): Options {
  return new Command('bench:scale')
    .description('Start, many VirtualServices, changes under load, and memory of Sluice on this machine')
    .option('--only <parts>', `some of ${PARTS.join(', ')}`, partsNamed, PARTS)
    .option('--count <n>', 'VirtualServices of the large configuration', wholeNumber, 10_000)
    .option('--workers <n>', 'worker processes', wholeNumber, 1)
    .option('--quick', 'less of everything: to try it, not to quote it', false)
    .option('--json <file>', 'write all that was measured to this file')
    .parse()
    .opts<Options>()
}

async function measure(context: BenchContext, parts: readonly Part[], amounts: typeof USUAL): Promise<Measured> {
  const place = (name: string): BenchContext => {
    const dir = join(context.dir, name)
    mkdirSync(dir)
    return { ...context, dir }
  }
  const wants = (part: Part): boolean => parts.includes(part)
  const start = wants('start') ? await measureStart(place('start'), amounts.starts) : undefined
  const rest = (['large', 'routing', 'reload'] as const).some(wants)
    ? await measureLarge(place('large'), wants, amounts)
    : {}
  const streaming = wants('streaming') ? await measureStreaming(place('streaming'), amounts.streaming) : undefined
  return { ...(start && { start }), ...rest, ...(streaming && { streaming }) }
}

/** What is measured with the large configuration: one gateway serves it for all of these parts. */
async function measureLarge(
  context: BenchContext,
  wants: (part: Part) => boolean,
  amounts: typeof USUAL,
): Promise<Pick<Measured, 'large' | 'reload' | 'routing'>> {
  const { count, log } = context
  const large: LargeResult[] = []
  const told = ({ layout, readMs, inForceMs, readyMs }: LargeResult): void =>
    log(`${count} (${layout}): read ${readMs} ms, in force ${inForceMs} ms, ready after ${readyMs.toFixed(0)} ms`)
  if (wants('large')) {
    const { gateway, result } = await startLarge(context, { name: 'one-file', count, layout: 'one-file' })
    await gateway.started.stop()
    told(result)
    large.push(result)
  }
  const { gateway, config, result } = await startLarge(context, { name: 'many', count, layout: 'files' })
  try {
    told(result)
    large.push(result)
    const routing = wants('routing') ? await compareRouting(context, { gateway, count }, amounts) : undefined
    const reload = wants('reload') ? await measureReload(context, gateway, config, amounts.reload) : undefined
    return { large, ...(reload && { reload }), ...(routing && { routing }) }
  } finally {
    await gateway.started.stop()
  }
}

async function compareRouting(
  context: BenchContext,
  many: Parameters<typeof measureRouting>[2],
  amounts: typeof USUAL,
): ReturnType<typeof measureRouting> {
  const { gateway } = await startLarge(context, { name: 'few', count: FEW, layout: 'files' })
  try {
    return await measureRouting(context, { gateway, count: FEW }, many, amounts.routing)
  } finally {
    await gateway.started.stop()
  }
}

async function main(root: string): Promise<void> {
  const { only, count, workers, quick, json } = readOptions()
  ensureTools([NGINX, { command: 'wrk', debianPackage: 'wrk' }], thisMachine())
  const find = (command: string): string | undefined => findCommand(command, process.env.PATH)
  // Ended by a signal, the processes that were started are ended by their own exit handlers.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const log = (line: string): void => void process.stderr.write(`${line}\n`)
  const [cpu] = cpus()
  const machine = {
    cpu: cpu?.model.trim() ?? 'unknown CPU',
    cores: cpus().length,
    kernel: release(),
    node: process.versions.node,
    loadAverage: loadavg()[0] ?? 0,
  }
  const dir = mkdtempSync(join(tmpdir(), 'bench-scale-'))
  const removeDir = (): void => rmSync(dir, { recursive: true, force: true })
  process.once('exit', removeDir)
  const upstream = await startUpstream(dir, { root, find, log })
  try {
    const context = { dir, root, find, log, upstreamPort: upstream.port, count, workers }
    const measured = await measure(context, only, quick ? QUICK : USUAL)
    const report = makeReport({ machine, count, workers }, measured)
    process.stdout.write(`${formatReport(report)}\n`)
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`)
  } finally {
    await upstream.started.stop()
    removeDir()
  }
}

if (import.meta.main) await main(join(import.meta.dirname, '..', '..'))
