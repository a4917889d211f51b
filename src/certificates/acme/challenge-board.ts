/** The challenges that this gateway answers now: those of its own orders, and those of other replicas. */
import type { ChallengeAnswer } from './challenge-answer.ts'
import type { AcmeStorage } from './storage.ts'

export interface ChallengeBoardOptions {
  readonly storage: Pick<AcmeStorage, 'shareChallenges' | 'withdrawChallenges'>
  /** Has every worker of this gateway answer these, and no others. Resolves when they do. */
  readonly answer: (answers: readonly ChallengeAnswer[]) => Promise<void>
  /** Milliseconds since 1970. */
  readonly now: () => number
}

export class ChallengeBoard {
  readonly #options: ChallengeBoardOptions
  readonly #own = new Map<string, ChallengeAnswer>()
  #others: readonly ChallengeAnswer[] = []

  constructor(options: ChallengeBoardOptions) {
    this.#options = options
  }

  /** Answers these too, here and on every replica. */
  async present(answers: readonly ChallengeAnswer[]): Promise<void> {
    for (const answer of answers) this.#own.set(answer.id, answer)
    await Promise.all([this.#apply(), this.#options.storage.shareChallenges(answers)])
  }

  async withdraw(answers: readonly ChallengeAnswer[]): Promise<void> {
    if (answers.length === 0) return
    const ids = answers.map(({ id }) => id)
    for (const id of ids) this.#own.delete(id)
    await Promise.all([this.#apply(), this.#options.storage.withdrawChallenges(ids)])
  }

  /** @param answers All that replicas have to answer now, this one's own among them. */
  async replaceShared(answers: readonly ChallengeAnswer[]): Promise<void> {
    this.#others = answers
    await this.#apply()
  }

  /** For a worker that has just started. */
  current(): readonly ChallengeAnswer[] {
    const now = this.#options.now()
    const all = new Map([...this.#others, ...this.#own.values()].map((answer) => [answer.id, answer]))
    return [...all.values()].filter(({ expiresAt }) => expiresAt > now)
  }

  async #apply(): Promise<void> {
    await this.#options.answer(this.current())
  }
}
