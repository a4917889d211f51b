/**
 * HTTP to an authority. It stands in the place of acme-client's own, which knows neither a deadline nor roots of one's
 * own, tries again by itself and forgets `Retry-After`.
 */
import { readFileSync } from 'node:fs'
import { Agent, type RequestOptions, request } from 'node:https'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { AcmeProblem } from './problem.ts'

export interface AcmeResponse {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Parsed where it is JSON, else text. */
  readonly data: unknown
}

export interface Transport {
  /**
   * One request, without following redirects.
   *
   * @returns The answer where it is below 400, and any `badNonce`: that one the protocol repeats by itself.
   * @throws AcmeProblem for every other answer and for none.
   */
  request(url: string, method: string, options?: TransportOptions): Promise<AcmeResponse>
  close(): void
}

export interface TransportOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON. */
  readonly data?: unknown
}

export interface TransportSettings {
  /** File of PEM roots; null: the system's. */
  readonly caBundle: string | null
  /** For the whole of one request, in ms. */
  readonly timeoutMs: number
  readonly userAgent: string
}

/** Nothing that an authority sends is near this; more is cut off. */
const MAX_BYTES = 1024 * 1024
const ERROR_TYPE = 'urn:ietf:params:acme:error:'

export function createTransport(settings: TransportSettings): Transport {
  let agent: Agent | null = null
  return {
    async request(url, method, { headers = {}, data } = {}) {
      agent ??= new Agent({ keepAlive: true, maxSockets: 4, ...roots(settings.caBundle) })
      const body = data === undefined ? undefined : JSON.stringify(data)
      const response = await send(url, body, {
        agent,
        method: method.toUpperCase(),
        headers: {
          ...headers,
          'user-agent': settings.userAgent,
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
        },
        signal: AbortSignal.timeout(settings.timeoutMs),
      })
      if (response.status < 400 || problemType(response) === `${ERROR_TYPE}badNonce`) return response
      throw refusal(url, response)
    },
    close() {
      agent?.destroy()
      agent = null
    },
  }
}

function roots(caBundle: string | null): { ca?: string } {
  if (caBundle === null) return {}
  try {
    return { ca: readFileSync(caBundle, 'utf8') }
  } catch (error) {
    throw new AcmeProblem('settings', `caBundle ${caBundle} cannot be read: ${(error as Error).message}`)
  }
}

async function send(url: string, body: string | undefined, options: RequestOptions): Promise<AcmeResponse> {
  if (URL.parse(url)?.protocol !== 'https:') {
    throw new AcmeProblem('refused', `the authority names ${url}, which is no HTTPS URL`)
  }
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request(url, options, resolve).once('error', reject).end(body)
    })
    const text = await textOf(response)
    const isJson = /\bjson\b/.test(response.headers['content-type'] ?? '')
    return { status: response.statusCode ?? 0, headers: response.headers, data: isJson ? parse(text) : text }
  } catch (error) {
    throw new AcmeProblem('unreachable', `${new URL(url).origin} cannot be reached: ${reason(error as Error)}`)
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of response as AsyncIterable<Buffer>) {
    bytes += piece.length
    if (bytes > MAX_BYTES) throw new Error(`an answer of more than ${MAX_BYTES} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('an answer that says it is JSON and is not')
  }
}

function reason(error: Error): string {
  return error.name === 'AbortError' || error.name === 'TimeoutError' ? 'no answer in time' : error.message
}

function problemType({ data }: AcmeResponse): string {
  return text(data, 'type')
}

/** An error answer in words. RFC 8555 section 6.7: a problem document (RFC 9457), perhaps with one for each host. */
function refusal(url: string, response: AcmeResponse): AcmeProblem {
  const { status, headers, data } = response
  const type = problemType(response)
  const detail = text(data, 'detail') || `${status} from ${new URL(url).origin}`
  const subproblems = (isObject(data) && Array.isArray(data['subproblems']) ? data['subproblems'] : []).filter(isObject)
  const hosts = subproblems.flatMap(({ identifier }) => text(identifier, 'value') || [])
  const words = [detail, ...subproblems.map((one) => `${text(one['identifier'], 'value')}: ${text(one, 'detail')}`)]
  const retryAfterMs = readRetryAfter(headers['retry-after'], Date.now())
  const facts = { type, hosts, ...(retryAfterMs === null ? {} : { retryAfterMs }) }
  return new AcmeProblem(kindOf(status, type), words.join('; '), facts)
}

function kindOf(status: number, type: string): AcmeProblem['kind'] {
  if (type === `${ERROR_TYPE}rateLimited` || status === 429) return 'rate-limited'
  if (type === `${ERROR_TYPE}accountDoesNotExist`) return 'account'
  return status >= 500 ? 'unreachable' : 'refused'
}

/**
 * RFC 9110 section 10.2.3: seconds, or a date.
 *
 * @param now Milliseconds since 1970.
 * @returns Milliseconds from now, at least 0; null: there is none that can be understood.
 */
export function readRetryAfter(value: string | undefined, now: number): number | null {
  if (value === undefined) return null
  if (/^[0-9]{1,9}$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function text(value: unknown, key: string): string {
  const found = isObject(value) ? value[key] : undefined
  return typeof found === 'string' ? found : ''
}
