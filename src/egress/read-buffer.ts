/**
 * The memory that one socket is read into, again and again: Node would allocate 64 KiB for every piece, and a stream of
 * a gigabyte would be one long collection of garbage.
 *
 * A piece that the other side has taken is overwritten by the next one; one that has to wait keeps its memory, and the
 * next one gets another. A tunnel in which little happens holds little: the memory grows while pieces fill it, and
 * shrinks when they no longer do.
 */

const LEAST_BYTES = 2048
const MOST_BYTES = 64 * 1024
const STEP = 4

export class ReadBuffer {
  #size = LEAST_BYTES
  #buffer: Buffer | null = null

  /** Memory for the next piece; as `onread.buffer` of a socket. */
  readonly next = (): Buffer => (this.#buffer ??= Buffer.allocUnsafeSlow(this.#size))

  /**
   * @param length Of the piece that came.
   * @param isFree Nobody needs the piece any more.
   */
  used(length: number, isFree: boolean): void {
    const size = this.#size
    if (length === size) this.#size = Math.min(MOST_BYTES, size * STEP)
    else if (length * STEP * STEP < size) this.#size = Math.max(LEAST_BYTES, size / STEP)
    if (!isFree || this.#size !== size) this.#buffer = null
  }
}
