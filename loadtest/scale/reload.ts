/** How soon a change of one file is served, and what it does to the requests of everybody else. */
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { type Usage, readUsage } from '../lib/process-tree.ts'
import { median, percentile } from '../lib/statistics.ts'
import { type BenchContext, inUse } from './context.ts'
import type { Gateway } from './gateway.ts'
import { PATHS, VERSIONED_PATH, VERSION_HEADER, hostOf, replaceVirtualService } from './resources.ts'
import type { TrafficOptions, TrafficSamples } from './traffic-client.ts'

export interface ReloadResult {
  readonly requestsPerSecond: number
  /** From the rename of the file to the first answer by the new rule, one a change, milliseconds. */
  readonly changesMs: readonly number[]
  readonly medianMs: number
  readonly p95Ms: number
  readonly quiet: Window
  /** Requests sent within {@link AFTER_CHANGE_MS} of a change. */
  readonly afterChange: Window
  /** Requests sent at any time while changes went on. */
  readonly whileChanging: Window
  /** Failed requests of the traffic, by status or error; none is what is wanted. */
  readonly failures: Readonly<Record<string, number>>
  /** When all is over. */
  readonly usage: Usage
}

/** Latency of the requests that were sent in some stretches of time, milliseconds. */
export interface Window {
  readonly requests: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface ReloadOptions {
  readonly changes: number
  readonly requestsPerSecond: number
}

/** Traffic that is thrown away before anything is measured: virtual hosts are built, code is compiled. */
const WARM_UP_MS = 5000

/** Blocks of quiet and of changes take turns, so that what changes on the machine meets both. */
const BLOCKS = 4

/** Between two changes: enough for the gateway to come to rest, and to save what it has read (a second later). */
const INTERVAL_MS = 1500

/** After a change, everything that it sets off (reading, compiling, sending) happens within this. */
const AFTER_CHANGE_MS = 500

/** Longest wait for the new rule. */
const GIVE_UP_MS = 10_000

/** A stretch of time, milliseconds since 1970. */
type Span = readonly [from: number, to: number]

/** @param gateway One that serves the resources in `config`, one file each. */
export async function measureReload(
  { count, log }: Pick<BenchContext, 'count' | 'log'>,
  gateway: Gateway,
  config: string,
  { changes, requestsPerSecond }: ReloadOptions,
): Promise<ReloadResult> {
  const { hosts, stride } = inUse(count)
  const used = Array.from({ length: hosts }, (_, index) => index * stride)
  const traffic = startTraffic({ port: gateway.port, hosts: used.map(hostOf), paths: PATHS, requestsPerSecond })
  const agent = new Agent({ keepAlive: true })
  try {
    await sleep(WARM_UP_MS)
    const changesMs: number[] = []
    const quiet: Span[] = []
    const afterChange: Span[] = []
    const whileChanging: Span[] = []
    for (let block = 0; block < BLOCKS; block++) {
      const share = Math.ceil(((block + 1) * changes) / BLOCKS) - Math.ceil((block * changes) / BLOCKS)
      const quietFrom = now()
      await sleep(share * INTERVAL_MS)
      quiet.push([quietFrom, now()])
      const changesFrom = now()
      for (let change = 0; change < share; change++) {
        const version = changesMs.length + 1
        const index = used[(version * 7) % used.length] ?? 0
        const at = now()
        replaceVirtualService(config, index, version)
        await untilVersion(agent, gateway.port, hostOf(index), version)
        changesMs.push(now() - at)
        afterChange.push([at, at + AFTER_CHANGE_MS])
        await sleep(Math.max(0, at + INTERVAL_MS - now()))
      }
      whileChanging.push([changesFrom, now()])
      log(`changes: ${changesMs.length}/${changes}, median ${median(changesMs).toFixed(0)} ms`)
    }
    const samples = await traffic.stop()
    return {
      requestsPerSecond,
      changesMs,
      medianMs: median(changesMs),
      p95Ms: percentile(changesMs, 0.95),
      quiet: within(samples, quiet),
      afterChange: within(samples, afterChange),
      whileChanging: within(samples, whileChanging),
      failures: samples.failures,
      usage: readUsage(gateway.started.pid),
    }
  } finally {
    agent.destroy()
    await traffic.terminate()
  }
}

/** Milliseconds since 1970, with fractions: the same in all threads. */
function now(): number {
  return performance.timeOrigin + performance.now()
}

function startTraffic(options: TrafficOptions): {
  stop(): Promise<TrafficSamples>
  terminate(): Promise<unknown>
} {
  const worker = new Worker(new URL('./traffic-client.ts', import.meta.url), { workerData: options })
  return {
    async stop() {
      const answer = once(worker, 'message')
      worker.postMessage('stop')
      return ((await answer) as [TrafficSamples])[0]
    },
    terminate: () => worker.terminate(),
  }
}

async function untilVersion(agent: Agent, port: number, host: string, version: number): Promise<void> {
  const deadline = performance.now() + GIVE_UP_MS
  while (performance.now() < deadline) {
    if ((await askVersion(agent, port, host)) === String(version)) return
    await sleep(1)
  }
  throw new Error(`${host} was not served by version ${version} of its file within ${GIVE_UP_MS} ms`)
}

function askVersion(agent: Agent, port: number, host: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: VERSIONED_PATH, agent, headers: { host } }
    const asked = request(options, (response) => {
      response.once('error', reject)
      response.once('end', () => resolve(response.headers[VERSION_HEADER] as string | undefined))
      response.resume()
    })
    asked.once('error', reject)
    asked.end()
  })
}

function within({ sentAt, latencyMs }: TrafficSamples, spans: readonly Span[]): Window {
  const found = latencyMs.filter((_, index) => {
    const at = sentAt[index] ?? 0
    return spans.some(([from, to]) => at >= from && at < to)
  })
  return {
    requests: found.length,
    p50Ms: percentile(found, 0.5),
    p99Ms: percentile(found, 0.99),
    maxMs: percentile(found, 1),
  }
}
