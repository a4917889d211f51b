/**
 * Tokens that were found to be good, so that a client that comes again costs a hash and a look-up. Only good ones are
 * kept: what is refused could be made up without end.
 */
import { hash } from 'node:crypto'
import type { ParsedToken } from './parse.ts'

/** Longer ones are verified each time, so that few clients cannot fill the memory. */
const MAX_TOKEN_LENGTH = 8192

/** @typeParam Verified What is remembered of a token for each rule that found it good. */
export interface KnownToken<Verified> {
  /** Without its text and payload: whoever asks has them. */
  readonly token: ParsedToken
  /** By number of the rule. */
  readonly verified: Map<number, Verified>
}

export class TokenCache<Verified> {
  readonly #limit: number
  /** By SHA-256, so that no token lies about here. In the order of their last use, the oldest first. */
  readonly #known = new Map<string, KnownToken<Verified>>()

  /** @param limit Tokens that are kept; at the limit the one that was not seen for longest goes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#known.size
  }

  find(text: string): KnownToken<Verified> | undefined {
    if (this.#known.size === 0 || text.length > MAX_TOKEN_LENGTH) return undefined
    const key = keyOf(text)
    const known = this.#known.get(key)
    if (known === undefined) return undefined
    this.#known.delete(key)
    this.#known.set(key, known)
    return known
  }

  add(token: ParsedToken, rule: number, verified: Verified): void {
    if (token.text.length > MAX_TOKEN_LENGTH) return
    const key = keyOf(token.text)
    const known = this.#known.get(key)
    if (known !== undefined) {
      known.verified.set(rule, verified)
      return
    }
    this.#known.set(key, { token: { ...token, text: '', payload: '' }, verified: new Map([[rule, verified]]) })
    if (this.#known.size > this.#limit) this.#known.delete(this.#known.keys().next().value!)
  }

  delete(text: string): void {
    this.#known.delete(keyOf(text))
  }
}

function keyOf(text: string): string {
  return hash('sha256', text, 'latin1')
}
