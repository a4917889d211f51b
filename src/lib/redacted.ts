/** Secrets that cannot be printed by accident. */
import { inspect } from 'node:util'

const REDACTED = '[redacted]'

/**
 * A secret text. Whoever logs it, joins it into a message or turns it into JSON gets `[redacted]`; only
 * {@link Redacted.reveal} gives it away, so a search for that name finds every place that uses a secret.
 */
export class Redacted {
  readonly #secret: string

  constructor(secret: string) {
    this.#secret = secret
  }

  reveal(): string {
    return this.#secret
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
