/** Asks a running gateway over its admin port. */
import { request } from 'node:http'
import type { CommandIo } from './io.ts'
import { loadHost } from './io.ts'
import { CommandFailure } from './exit.ts'
import { oneLine } from './output.ts'
import { formatHostPort, type HostPort, parseHostPort } from '../settings/values.ts'

/** Longest wait for an answer, milliseconds. */
const TIMEOUT_MS = 10_000

/** Most bytes of an answer: a configuration dump of a large gateway is tens of megabytes. */
const MOST_BYTES = 512 * 1024 * 1024

export interface AdminOptions {
  /** `--admin`. */
  readonly admin?: string
  /** `--settings`. */
  readonly settings?: string
}

/** The admin address: flag, variable, `sluice.yaml`, default. */
export async function adminAddress(options: AdminOptions, io: CommandIo): Promise<HostPort> {
  const given = options.admin ?? io.env['SLUICE_ADMIN']
  if (given !== undefined && given !== '') {
    const address = parseHostPort(given, '127.0.0.1')
    if (address === undefined) {
      throw new CommandFailure(`the admin address "${given}" is not [HOST:]PORT, such as 127.0.0.1:15000`)
    }
    return address
  }
  // Reading the settings takes longer than asking the gateway, so only where they can have something to say.
  const { loadSettings } = await import('../settings/load.ts')
  const flags = { ...(options.settings === undefined ? {} : { settings: options.settings }), values: {} }
  return (await loadSettings(flags, loadHost(io))).settings.admin
}

export interface AdminRequest {
  readonly method?: 'GET' | 'POST'
  readonly path: string
  /** Sent as JSON. */
  readonly body?: unknown
}

/** @returns The answer's JSON. @throws CommandFailure where there is no gateway, or it answers with an error. */
export async function askAdmin(options: AdminOptions, io: CommandIo, ask: AdminRequest): Promise<unknown> {
  const address = await adminAddress(options, io)
  const { status, text } = await exchange(address, ask)
  if (status !== 200) {
    const reason = errorOf(text)
    throw new CommandFailure(`the gateway at ${formatHostPort(address)} answered ${ask.path} with ${status}: ${reason}`)
  }
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new CommandFailure(
      `what listens at ${formatHostPort(address)} does not answer with JSON: is it the admin port of a Sluice gateway?`,
    )
  }
}

/** The admin API's `{"error": "…"}`, or the first line of whatever else came. */
function errorOf(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown }
    if (typeof error === 'string') return oneLine(error)
  } catch {
    // Something else listens there.
  }
  return oneLine(text.trim().split('\n')[0] ?? '')
}

function exchange(
  address: HostPort,
  { method = 'GET', path, body }: AdminRequest,
): Promise<{ status: number; text: string }> {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const headers =
    payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: reachable(address.host), port: address.port, method, path, headers, agent: false })
    const giveUp = (reason: string): void => {
      reject(new CommandFailure(unreachable(address, reason)))
      outgoing.destroy()
    }
    const timer = setTimeout(() => giveUp('no answer within 10 s'), TIMEOUT_MS)
    outgoing.once('error', (error: NodeJS.ErrnoException) => giveUp(error.code ?? error.message))
    outgoing.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > MOST_BYTES) giveUp(`an answer longer than ${MOST_BYTES} bytes`)
        else chunks.push(chunk)
      })
      response.once('error', (error: NodeJS.ErrnoException) => giveUp(error.code ?? error.message))
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    outgoing.once('close', () => clearTimeout(timer))
    outgoing.end(payload)
  })
}

/** An address to connect to for one to listen on. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function unreachable(address: HostPort, reason: string): string {
  return (
    `no gateway answers at ${formatHostPort(address)} (${reason}). Check that "sluice run" is running on this machine, ` +
    'and that its admin address is this one: --admin, SLUICE_ADMIN, or admin: in sluice.yaml.'
  )
}
