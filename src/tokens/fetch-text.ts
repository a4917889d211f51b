/**
 * Fetching small documents that a gateway's security hangs on: bounded in time and size, redirects refused, nothing
 * but http and https. Node's `fetch` is not used, as it follows redirects into other schemes of answers (compression)
 * whose size only shows when it is too late.
 */
import { get as httpGet, type IncomingMessage } from 'node:http'
import { get as httpsGet } from 'node:https'

/** Key sets are a few KiB; one of this size would have thousands of keys. */
export const MAX_DOCUMENT_BYTES = 1024 * 1024

/**
 * @param timeoutMs From the lookup of the name to the last byte.
 * @throws Error (as a rejection) for every answer but a whole one with status 200.
 */
export type FetchText = (url: string, timeoutMs: number) => Promise<string>

export const fetchText: FetchText = (url, timeoutMs) =>
  new Promise((resolve, reject) => {
    const protocol = URL.parse(url)?.protocol
    if (protocol !== 'http:' && protocol !== 'https:') throw new Error('not an http or https address')
    const get = protocol === 'https:' ? httpsGet : httpGet
    const request = get(url, {
      agent: false,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'sluice' },
    })
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    const settled = () => clearTimeout(timer)
    request.on('response', (response) => {
      readBody(response)
        .then(resolve, (error: unknown) => {
          request.destroy()
          reject(error as Error)
        })
        .finally(settled)
    })
    request.on('error', (error) => {
      settled()
      reject(error)
    })
  })

async function readBody(response: IncomingMessage): Promise<string> {
  const { statusCode } = response
  if (statusCode !== 200) {
    const isRedirect = statusCode !== undefined && statusCode >= 300 && statusCode < 400
    throw new Error(`status ${statusCode}${isRedirect ? ' (redirects are not followed)' : ''}`)
  }
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_DOCUMENT_BYTES) throw new Error(`more than ${MAX_DOCUMENT_BYTES} bytes`)
    chunks.push(chunk)
  }
  if (!response.complete) throw new Error('the answer was cut off')
  return Buffer.concat(chunks).toString('utf8')
}
