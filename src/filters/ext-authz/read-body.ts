/**
 * Reads the beginning of a request's body for an authorizer and puts it back, so that it is forwarded afterwards as if
 * nobody had looked: the bytes are pushed back in front of what the request's stream still holds, in the same turn in
 * which they were taken, so that the stream does not end while they are away.
 */
import type { Exchange } from '../../exchange/exchange.ts'
import { headerValue, removeHeader, setHeader } from '../../exchange/headers.ts'
import type { ExtAuthzBodyPlan } from '../../plan/ext-authz.ts'
import type { CheckedBody } from './verdict.ts'

/** `gone`: the client has left, and nobody waits for an answer. */
export type BodyReading = CheckedBody | 'too-large' | 'gone'

/** Holds at most `maxBytes` and what one read gives beyond it. The request has a body. */
export function readBody(exchange: Exchange, { maxBytes, allowPartial }: ExtAuthzBodyPlan): Promise<BodyReading> {
  const { req, res, headers } = exchange
  const declared = exchange.body === 'length' ? Number(headerValue(headers, 'content-length')) : null
  if (declared !== null && declared > maxBytes && !allowPartial) return Promise.resolve('too-large')
  if (/^100-continue$/i.test(headerValue(headers, 'expect') ?? '')) {
    // The client waits for this, and the upstream that would say it is not asked yet.
    res.writeContinue()
    removeHeader(headers, 'expect')
  }
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let length = 0
    const end = (reading: BodyReading): void => {
      req.removeListener('readable', read)
      req.removeListener('end', endEmpty)
      res.removeListener('close', leave)
      exchange.bytesReceived = length
      resolve(reading)
    }
    const leave = (): void => {
      end('gone')
    }
    const read = (): void => {
      for (let chunk = takeChunk(); chunk !== null && length <= maxBytes; chunk = takeChunk()) {
        chunks.push(chunk)
        length += chunk.length
      }
      const isFull = length > maxBytes || (allowPartial && length === maxBytes)
      if (!req.complete && !isFull) return
      if (length > maxBytes && !allowPartial) {
        end('too-large')
        return
      }
      const whole = Buffer.concat(chunks)
      if (length === 0) return
      req.unshift(whole)
      const bytes = whole.subarray(0, maxBytes)
      end({ bytes, partial: bytes.length < (declared ?? (req.complete ? length : Number.POSITIVE_INFINITY)) })
    }
    // An empty one ends without having been readable.
    const endEmpty = (): void => {
      forgetBody(exchange)
      end({ bytes: Buffer.alloc(0), partial: false })
    }
    const takeChunk = (): Buffer | null => (length > maxBytes ? null : (req.read() as Buffer | null))
    res.once('close', leave)
    if (req.readableEnded) {
      endEmpty()
      return
    }
    req.once('end', endEmpty)
    req.on('readable', read)
  })
}

/** A chunked body that turns out to be empty: its end has been seen, so nobody could wait for it any more. */
function forgetBody(exchange: Exchange): void {
  exchange.body = 'none'
  exchange.requestEndMono = performance.now()
  setHeader(exchange.headers, 'content-length', '0')
}
