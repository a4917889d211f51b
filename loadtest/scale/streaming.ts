/** What a large body does to the worker's memory while one side is slow: nothing, if back-pressure holds. */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { type IncomingMessage, type ServerResponse, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readTree, readUsage } from '../lib/process-tree.ts'
import { type BenchContext, toMiB } from './context.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { hostOf, writeResources } from './resources.ts'

export interface StreamingResult {
  readonly bodyBytes: number
  /** The slow side takes so many bytes a second. */
  readonly bytesPerSecond: number
  readonly down: TransferResult
  readonly up: TransferResult
}

/** Resident memory (RSS) of the worker, bytes. */
export interface TransferResult {
  readonly seconds: number
  readonly beforeBytes: number
  readonly peakBytes: number
  readonly afterBytes: number
  /** Peak less before. */
  readonly growthBytes: number
}

export interface StreamingOptions {
  readonly bodyBytes: number
  readonly bytesPerSecond: number
}

/** Small requests before the first measurement, so that compiled code and pools are there already. */
const WARM_UP_REQUESTS = 3000

const SAMPLE_MS = 50

/** What is left after a transfer is read after this: a moment for sockets to close. */
const SETTLE_MS = 1000

const CHUNK = Buffer.alloc(64 * 1024, 'x')

export async function measureStreaming(context: BenchContext, options: StreamingOptions): Promise<StreamingResult> {
  const { dir, root, log } = context
  const upstream = createServer((asked, answer) => void serve(asked, answer, options))
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  const config = join(dir, 'config')
  mkdirSync(config, { recursive: true })
  writeResources(config, 1, 'files', (upstream.address() as AddressInfo).port)
  // One worker, whatever the rest of the benchmark has: which of several serves a transfer is not to be known.
  const gateway = await startGateway({ dir, config, workers: 1, root })
  try {
    const worker = readTree(gateway.started.pid)[1]?.pid ?? -1
    for (let count = 0; count < WARM_UP_REQUESTS; count++) await transfer(gateway, 'GET', 0, options)
    const measure = async (direction: 'down' | 'up'): Promise<TransferResult> => {
      const result = await watched(worker, () =>
        transfer(gateway, direction === 'down' ? 'GET' : 'POST', options.bodyBytes, options),
      )
      log(
        `${direction}: ${toMiB(options.bodyBytes).toFixed(0)} MiB, memory grew by ${toMiB(result.growthBytes).toFixed(1)} MiB`,
      )
      return result
    }
    return { ...options, down: await measure('down'), up: await measure('up') }
  } finally {
    await gateway.started.stop()
    upstream.closeAllConnections()
    await new Promise((resolve) => upstream.close(resolve))
  }
}

/** Runs `work` and looks at the memory of a process all the time. */
async function watched(pid: number, work: () => Promise<void>): Promise<TransferResult> {
  const resident = (): number => readUsage(pid).rssBytes
  const beforeBytes = resident()
  let peakBytes = beforeBytes
  const timer = setInterval(() => (peakBytes = Math.max(peakBytes, resident())), SAMPLE_MS)
  const began = performance.now()
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  const seconds = (performance.now() - began) / 1000
  await sleep(SETTLE_MS)
  return { seconds, beforeBytes, peakBytes, afterBytes: resident(), growthBytes: peakBytes - beforeBytes }
}

/** The upstream: takes a body slowly, or gives as many bytes as are asked for as fast as they are taken. */
async function serve(asked: IncomingMessage, answer: ServerResponse, options: StreamingOptions): Promise<void> {
  const received = await readSlowly(asked, options.bytesPerSecond)
  const bytes = Number(asked.headers['x-bytes'] ?? 0)
  answer.writeHead(200, { 'content-length': asked.method === 'POST' ? String(received).length : bytes })
  if (asked.method === 'POST') answer.end(String(received))
  else await write(answer, bytes)
}

/** One request through the gateway. @throws An Error when a byte is missing. */
async function transfer(
  { port }: Gateway,
  method: 'GET' | 'POST',
  bytes: number,
  { bytesPerSecond }: StreamingOptions,
): Promise<void> {
  const headers = { host: hostOf(0), 'x-bytes': String(bytes) }
  const asked = request({
    host: '127.0.0.1',
    port,
    path: '/',
    method,
    headers: method === 'POST' ? { ...headers, 'content-length': bytes } : headers,
  })
  const answered = once(asked, 'response') as Promise<[IncomingMessage]>
  if (method === 'POST') await write(asked, bytes)
  else asked.end()
  const [answer] = await answered
  if (method === 'GET') {
    const received = await readSlowly(answer, bytesPerSecond)
    if (answer.statusCode !== 200 || received !== bytes) throw new Error(`${answer.statusCode}, ${received} bytes`)
    return
  }
  const text = Buffer.concat(await answer.toArray()).toString()
  if (answer.statusCode !== 200 || text !== String(bytes)) throw new Error(`${answer.statusCode}: ${text}`)
}

async function write(to: NodeJS.WritableStream, bytes: number): Promise<void> {
  for (let left = bytes; left > 0; left -= CHUNK.length) {
    if (!to.write(left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK)) await once(to, 'drain')
  }
  to.end()
}

/** Reads all, and waits after each piece as long as the rate demands. @returns The bytes. */
async function readSlowly(from: IncomingMessage, bytesPerSecond: number): Promise<number> {
  const began = performance.now()
  let bytes = 0
  for await (const chunk of from) {
    bytes += (chunk as Buffer).length
    const aheadMs = (bytes / bytesPerSecond) * 1000 - (performance.now() - began)
    if (aheadMs > 5) await sleep(aheadMs)
  }
  return bytes
}
