/** Starts the upstream and the peers, puts load on one after the other, round by round, and ends all of them. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Usage, readUsage } from '../lib/process-tree.ts'
import { type Started, freePort, start, untilServing } from '../lib/started.ts'
import { BODY_BYTES, startUpstream } from '../lib/upstream.ts'
import { runWrk } from '../lib/wrk.ts'
import type { Peer } from './peers.ts'
import type { Measurement, PeerRounds } from './results.ts'

export interface BenchOptions {
  readonly peers: readonly Peer[]
  readonly rounds: number
  /** Length of one measurement, seconds. */
  readonly seconds: number
  readonly connections: number
  readonly root: string
  /** The absolute path of a tool, undefined where it is missing. */
  readonly find: (command: string) => string | undefined
  readonly log: (line: string) => void
}

export interface BenchResult {
  readonly measured: readonly PeerRounds[]
  /** Peers that never got as far as a measurement, and why. */
  readonly leftOut: readonly { readonly peer: string; readonly reason: string }[]
  /** Largest share of one core that the upstream used in a measurement; near 1 it was the bottleneck. */
  readonly upstreamBusiest: number
}

interface Running {
  readonly peer: Peer
  readonly port: number
  readonly started: Started
  readonly rounds: Measurement[]
}

const HOST = 'bench.test'

/** Before the first round, seconds at the length of the default measurement: compilers and pools settle. */
const WARM_UP_SECONDS = 2

/**
 * Runs the benchmark. All peers run all the time, idle but for their turn, so that each is as warm in every round; the
 * rounds interleave (A B C, A B C), so that what changes on the machine meanwhile meets all of them.
 */
export async function runBench(options: BenchOptions): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), 'bench-peers-'))
  const removeDir = (): void => rmSync(dir, { recursive: true, force: true })
  process.once('exit', removeDir) // for a run that a signal ends
  const started: Started[] = []
  try {
    const wrk = options.find('wrk')
    if (wrk === undefined) throw new Error('wrk is missing (Debian package: wrk)')
    const upstream = await startUpstream(dir, options)
    started.push(upstream.started)
    const { running, leftOut } = await startPeers(dir, upstream.port, options, started)

    let upstreamBusiest = 0
    const load = (port: number, seconds: number): ReturnType<typeof runWrk> =>
      runWrk(wrk, { url: `http://127.0.0.1:${port}/`, host: HOST, seconds, connections: options.connections })

    options.log(`warming up: ${running.map(({ peer }) => peer.name).join(', ')}`)
    for (const { port } of running) await load(port, Math.min(WARM_UP_SECONDS, options.seconds))
    for (let round = 1; round <= options.rounds; round++) {
      for (const { peer, port, started: proxy, rounds } of running) {
        proxy.truncateLog()
        const [before, upstreamBefore] = [readUsage(proxy.pid), readUsage(upstream.started.pid)]
        const measured = await load(port, options.seconds)
        const [after, upstreamAfter] = [readUsage(proxy.pid), readUsage(upstream.started.pid)]
        const upstreamShare = (upstreamAfter.cpuSeconds - upstreamBefore.cpuSeconds) / options.seconds
        upstreamBusiest = Math.max(upstreamBusiest, upstreamShare)
        const measurement = { ...measured, ...perRequest(before, after, measured.requests) }
        rounds.push(measurement)
        const micros = measurement.cpuMicrosPerRequest.toFixed(1)
        options.log(
          `round ${round}/${options.rounds} ${peer.name}: ${micros} µs CPU/request, ${measured.errors} errors`,
        )
      }
    }
    return { measured: running.map(({ peer, rounds }) => ({ peer: peer.name, rounds })), leftOut, upstreamBusiest }
  } finally {
    await Promise.all(started.map((one) => one.stop()))
    removeDir()
    process.removeListener('exit', removeDir)
  }
}

/** @param requests What the load generator counted. */
export function perRequest(
  before: Usage,
  after: Usage,
  requests: number,
): Pick<Measurement, 'cpuMicrosPerRequest' | 'rssBytes' | 'pssBytes'> {
  const cpuMicrosPerRequest = ((after.cpuSeconds - before.cpuSeconds) * 1e6) / requests
  return { cpuMicrosPerRequest, rssBytes: after.rssBytes, pssBytes: after.pssBytes }
}

/** Starts the peers one after the other; one that does not serve what the upstream serves is left out. */
async function startPeers(
  dir: string,
  upstreamPort: number,
  { peers, root, find }: BenchOptions,
  started: Started[],
): Promise<{ running: Running[]; leftOut: { peer: string; reason: string }[] }> {
  const running: Running[] = []
  const leftOut: { peer: string; reason: string }[] = []
  for (const peer of peers) {
    const program = peer.tool === undefined ? process.execPath : find(peer.tool.command)
    if (program === undefined) {
      leftOut.push({ peer: peer.name, reason: `needs the Debian package ${peer.tool?.debianPackage}` })
      continue
    }
    const place = join(dir, peer.name)
    mkdirSync(place)
    const port = await freePort()
    const launch = peer.prepare({ dir: place, port, upstreamPort, host: HOST, program, root })
    const one = start({ ...launch, cwd: place, logFile: join(place, 'output.log') })
    started.push(one)
    try {
      await untilServing(one, port, HOST, BODY_BYTES)
      running.push({ peer, port, started: one, rounds: [] })
    } catch (error) {
      leftOut.push({ peer: peer.name, reason: error instanceof Error ? error.message : String(error) })
      await one.stop()
    }
  }
  return { running, leftOut }
}
