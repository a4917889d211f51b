/** Answers that a rule gives itself. Source: semantics §2.7. */
import { Buffer } from 'node:buffer'
import type { LocalReply } from '../../exchange/local-reply.ts'
import type { DirectResponseAction } from '../../plan/route.ts'

/** @returns The same reply for every request. */
export function compileDirectResponse(action: DirectResponseAction): LocalReply {
  const { status, body = '' } = action
  const details = 'direct_response'
  return body === '' ? { status, details } : { status, body: Buffer.from(body, 'base64'), details }
}
