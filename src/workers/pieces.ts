/**
 * A large update in pieces: one message of a plan of many megabytes would be held several times over on its way, by
 * the sender, the pipe and the receiver.
 */
import type { ApplyMessage, PartsMessage } from './messages.ts'

/** Characters of plan text in one message; a single part that is longer travels whole. */
export const PIECE_LENGTH = 256 * 1024

/** The same update: parts that go ahead, then the message that makes them the plan, with the rest of them. */
export function* inPieces(message: ApplyMessage, pieceLength = PIECE_LENGTH): Generator<PartsMessage | ApplyMessage> {
  const { set, remove } = message.update
  let from = 0
  let length = 0
  for (const [index, [key, text]] of set.entries()) {
    length += key.length + text.length
    if (length < pieceLength || index === set.length - 1) continue
    yield { type: 'parts', set: set.slice(from, index + 1) }
    from = index + 1
    length = 0
  }
  yield from === 0 ? message : { ...message, update: { set: set.slice(from), remove } }
}

/** The other end of {@link inPieces}. Holds what went ahead until its message comes. */
export class Pieces {
  #set: PartsMessage['set'][number][] = []

  add({ set }: PartsMessage): void {
    for (const part of set) this.#set.push(part)
  }

  /** The message as it was before it was cut into pieces. */
  join(message: ApplyMessage): ApplyMessage {
    if (this.#set.length === 0) return message
    const set = this.#set
    this.#set = []
    for (const part of message.update.set) set.push(part)
    return { ...message, update: { set, remove: message.update.remove } }
  }
}
