/** The challenges that a worker answers now. Empty nearly always: then it costs a request one comparison. */
import { createSecureContext, type SecureContext } from 'node:tls'
import type { ChallengeAnswer } from './challenge-answer.ts'

const HTTP_PREFIX = '/.well-known/acme-challenge/'
/** RFC 8737 section 3. */
export const ACME_TLS_PROTOCOL = 'acme-tls/1'

export class ChallengeTable {
  #keyAuthorizations = new Map<string, string>()
  #contexts = new Map<string, SecureContext>()

  /** @param answers All of them. Bound: the orders that run at a time, times the hosts of each. */
  replace(answers: readonly ChallengeAnswer[]): void {
    this.#keyAuthorizations = new Map()
    this.#contexts = new Map()
    for (const answer of answers) {
      if (answer.kind === 'http-01') this.#keyAuthorizations.set(answer.token, answer.keyAuthorization)
      else this.#contexts.set(answer.host, createSecureContext({ cert: answer.certificate, key: answer.privateKey }))
    }
  }

  /** @param path With its query. @returns The body of the answer; null: nothing is answered there. */
  http(path: string): string | null {
    if (this.#keyAuthorizations.size === 0 || !path.startsWith(HTTP_PREFIX)) return null
    return this.#keyAuthorizations.get(path.slice(HTTP_PREFIX.length)) ?? null
  }

  /** @param serverName As the client sent it. @returns What to present; null: there is no challenge for that name. */
  tls(serverName: string): SecureContext | null {
    return this.#contexts.size === 0 ? null : (this.#contexts.get(serverName.toLowerCase()) ?? null)
  }
}
