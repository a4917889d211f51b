/**
 * Steady traffic, in a thread of its own so that what the benchmark does beside it does not show in its latencies.
 * Requests are started on time whether or not earlier ones were answered, as clients of a gateway do.
 */
import { Agent, request } from 'node:http'
import { parentPort, workerData } from 'node:worker_threads'

export interface TrafficOptions {
  readonly port: number
  readonly hosts: readonly string[]
  readonly paths: readonly string[]
  readonly requestsPerSecond: number
}

/** Requests in the order of their answers; as columns, because there are many. */
export interface TrafficSamples {
  /** When each was sent, milliseconds since 1970. */
  readonly sentAt: readonly number[]
  readonly latencyMs: readonly number[]
  /** By what was wrong: a status, or an error's code. */
  readonly failures: Readonly<Record<string, number>>
}

/** Between two batches of requests. */
const TICK_MS = 5

/** Most connections: more requests at once than this wait for one. */
const MAX_SOCKETS = 128

function run({ port, hosts, paths, requestsPerSecond }: TrafficOptions): () => TrafficSamples {
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  const sentAt: number[] = []
  const latencyMs: number[] = []
  const failures: Record<string, number> = {}
  const failed = (what: string): void => void (failures[what] = (failures[what] ?? 0) + 1)
  let count = 0
  const ask = (): void => {
    const [host, path] = [hosts[count % hosts.length], paths[Math.floor(count / hosts.length) % paths.length]]
    count++
    const began = performance.now()
    const asked = request({ host: '127.0.0.1', port, path, agent, headers: { host }, timeout: 10_000 }, (response) => {
      response.once('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message))
      response.once('end', () => {
        sentAt.push(performance.timeOrigin + began)
        latencyMs.push(performance.now() - began)
        if (response.statusCode !== 200) failed(String(response.statusCode))
      })
      response.resume()
    })
    asked.once('timeout', () => asked.destroy(new Error('no answer within 10 s')))
    asked.once('error', (error: NodeJS.ErrnoException) => failed(error.code ?? error.message))
    asked.end()
  }
  const startedAt = performance.now()
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * requestsPerSecond
    while (count < due) ask()
  }, TICK_MS)
  return () => {
    clearInterval(timer)
    agent.destroy()
    return { sentAt, latencyMs, failures }
  }
}

if (parentPort !== null) {
  const port = parentPort
  const stop = run(workerData as TrafficOptions)
  port.once('message', () => {
    port.postMessage(stop())
    port.close()
  })
}
