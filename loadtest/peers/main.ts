/**
 * `npm run bench:peers`: CPU per request of Sluice beside other proxies on this machine. See ../README.md.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { ensureTools, findCommand, thisMachine } from '../../test/support/tools.ts'
import { runBench } from './bench.ts'
import { NGINX } from '../lib/nginx.ts'
import { PEERS, type Peer, isOurs } from './peers.ts'
import { formatReport, makeReport } from './report.ts'

interface Options {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly quick: boolean
  readonly only?: readonly Peer[]
  readonly json?: string
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('Expected a whole number from 1.')
  return number
}

function peersNamed(text: string): readonly Peer[] {
  const names = text.split(',')
  const unknown = names.filter((name) => !PEERS.some((peer) => peer.name === name))
  if (unknown.length === 0) return PEERS.filter((peer) => names.includes(peer.name))
  throw new InvalidArgumentError(
    `No peer "${unknown.join(', ')}"; there are ${PEERS.map(({ name }) => name).join(', ')}.`,
  )
}

function readOptions(): Options {
  return new Command('bench:peers')
    .description('CPU, throughput, latency and memory of Sluice beside other proxies on this machine')
    .option('--rounds <n>', 'times that each peer is measured', wholeNumber, 5)
    .option('--seconds <n>', 'length of one measurement', wholeNumber, 5)
    .option('--connections <n>', 'concurrent keep-alive connections', wholeNumber, 32)
    .option('--quick', '2 rounds of 2 seconds: to try it, not to quote it', false)
    .option('--only <names>', 'comma-separated peers', peersNamed)
    .option('--json <file>', 'write medians, ratios and all rounds to this file')
    .parse()
    .opts<Options>()
}

/** First line of what a program prints about its version, on whichever output. */
function versionOf(program: string | undefined, args: readonly string[]): string {
  if (program === undefined) return ''
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 10_000 })
  return /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? ''
}

/** @returns The exit code: 1 when a peer that could be started is not reported. */
async function main(root: string): Promise<number> {
  const given = readOptions()
  const { rounds, seconds, connections } = given.quick ? { ...given, rounds: 2, seconds: 2 } : given
  const peers = given.only ?? PEERS
  const tools = [...new Set([...peers.flatMap(({ tool }) => tool ?? []), NGINX])]
  ensureTools([...tools, { command: 'wrk', debianPackage: 'wrk' }], thisMachine())
  const find = (command: string): string | undefined => findCommand(command, process.env.PATH)

  // Ended by a signal, the processes that were started are ended by their own exit handlers.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  const log = (line: string): void => void process.stderr.write(`${line}\n`)
  const result = await runBench({ peers, rounds, seconds, connections, root, find, log })
  const [cpu] = cpus()
  const report = makeReport(result, {
    machine: { cpu: cpu?.model.trim() ?? 'unknown CPU', cores: cpus().length, kernel: release() },
    options: { rounds, seconds, connections },
    versionOf: (name) => {
      const peer = PEERS.find((one) => one.name === name)
      const program = peer?.tool === undefined ? process.execPath : find(peer.tool.command)
      return `${peer?.tool === undefined ? 'Node ' : ''}${versionOf(program, peer?.versionArgs ?? [])}`
    },
  })
  process.stdout.write(`${formatReport(report)}\n`)
  if (given.json !== undefined) writeFileSync(given.json, `${JSON.stringify(report, null, 2)}\n`)
  const missing = new Set(report.leftOut.map(({ peer }) => peer))
  return peers.some(({ name, tool }) => missing.has(name) && (isOurs(name) || !tool || find(tool.command))) ? 1 : 0
}

if (import.meta.main) process.exitCode = await main(join(import.meta.dirname, '..', '..'))
