/**
 * Writes lines to a file or a pipe without ever waiting for it: lines are collected for a few milliseconds and go out
 * together, whole lines at a time, and what cannot be written is dropped and counted.
 *
 * Several processes share standard output. POSIX promises that a write of at most PIPE_BUF bytes to a pipe is not
 * mixed with another's (4096 on Linux), so that is the largest batch; a single longer line goes out by itself and may
 * be cut by a line of another process. On files the same holds for any size, because they are opened for appending.
 */
import { constants, fstatSync, openSync } from 'node:fs'
import sonicBoom, { type SonicBoom } from 'sonic-boom'

export interface LineWriterOptions {
  /** `/dev/stdout`, `/dev/stderr`, or the path of a file that is appended to, and made if it is not there. */
  readonly file: string
  /** Longest that a line waits for others, in ms. Default 10. */
  readonly delayMs?: number
  /** Most bytes that wait for a slow reader or a full disk; later lines are dropped until it moves. Default 1 MiB. */
  readonly maxBacklogBytes?: number
  /** Told of errors of the file or pipe, at most once in 10 s. */
  readonly onError?: (error: Error) => void
  /** Monotonic clock, in ms. */
  readonly now: () => number
}

export interface LineWriter {
  /** Takes one line, with its newline. Never throws and never waits. */
  write(line: string): void
  /** Lines that were lost so far. */
  dropped(): number
  /** Opens the file anew (after its rotation); nothing is lost if that fails. Without effect on standard streams. */
  reopen(): void
  /** Writes what is waiting, for at most `limitMs` (default 500), and closes the file. */
  close(limitMs?: number): Promise<void>
}

const PIPE_BUF = 4096
/** Largest batch for a file: a dozen writes to a thread of libuv's cost more than the lines in them. */
const FILE_BATCH = 65_536
const ERROR_INTERVAL_MS = 10_000
/** A file that cannot be opened is tried again this often, while there is something to write. */
const OPEN_INTERVAL_MS = 1000
/** Not blocking, so that a named pipe without a reader is an error and no wait. */
const OPEN_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

export function createLineWriter(options: LineWriterOptions): LineWriter {
  return new BatchingLineWriter(options)
}

class BatchingLineWriter implements LineWriter {
  readonly #options: LineWriterOptions
  readonly #descriptor: number | null
  /** PIPE_BUF, or more where the file is one. */
  #limit = PIPE_BUF
  /** The batch under way: at most `#limit` characters, or one longer line. */
  #batch = ''
  #batchLines = 0
  #timer: NodeJS.Timeout | null = null
  #stream: SonicBoom | null = null
  #dropped = 0
  #lastError = -Infinity
  #lastOpen = -Infinity
  #closed = false

  constructor(options: LineWriterOptions) {
    this.#options = options
    this.#descriptor = options.file === '/dev/stdout' ? 1 : options.file === '/dev/stderr' ? 2 : null
    this.#stream = this.#open()
  }

  write(line: string): void {
    if (this.#closed) {
      this.#dropped += 1
      return
    }
    if (this.#batch.length + line.length > this.#limit) this.#flush()
    this.#batch += line
    this.#batchLines += 1
    if (this.#batch.length >= this.#limit) this.#flush()
    else this.#timer ??= setTimeout(this.#flush, this.#options.delayMs ?? 10)
  }

  dropped(): number {
    return this.#dropped
  }

  reopen(): void {
    if (this.#closed || this.#descriptor !== null) return
    this.#flush()
    const before = this.#stream
    const next = this.#open()
    if (next === null) return
    this.#stream = next
    // What it still has to write goes to the file that it had.
    before?.once('error', () => before.destroy())
    before?.end()
  }

  async close(limitMs = 500): Promise<void> {
    if (this.#closed) return
    this.#flush()
    this.#closed = true
    const stream = this.#stream
    if (stream === null) return
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        clearTimeout(limit)
        stream.destroy()
        resolve()
      }
      const limit = setTimeout(finish, limitMs)
      stream.once('close', finish)
      stream.once('error', finish)
      stream.end()
    })
  }

  /** A field so that the timer needs no closure of its own for each batch. */
  readonly #flush = (): void => {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#batch === '') return
    const [batch, lines] = [this.#batch, this.#batchLines]
    this.#batch = ''
    this.#batchLines = 0
    const stream = this.#usableStream()
    if (stream === null) this.#dropped += lines
    // Text above ASCII takes more bytes than characters: then line by line, and the stream joins what fits.
    else if (lines > 1 && Buffer.byteLength(batch) > this.#limit) {
      for (const line of batch.match(/[^\n]*\n|[^\n]+$/g) ?? []) stream.write(line)
    } else stream.write(batch)
  }

  /** The stream; a file that could not be opened is tried again from time to time. */
  #usableStream(): SonicBoom | null {
    if (this.#stream === null && this.#options.now() - this.#lastOpen >= OPEN_INTERVAL_MS) this.#stream = this.#open()
    return this.#stream
  }

  #open(): SonicBoom | null {
    this.#lastOpen = this.#options.now()
    let descriptor = this.#descriptor
    try {
      descriptor ??= openSync(this.#options.file, OPEN_FLAGS, 0o640)
    } catch (error) {
      this.#report(error as Error)
      return null
    }
    this.#limit = isFile(descriptor) ? FILE_BATCH : PIPE_BUF
    const stream = new sonicBoom.SonicBoom({
      fd: descriptor,
      // Writes happen on libuv's threads: a reader that does not read must not stop the event loop.
      sync: false,
      minLength: 0,
      maxWrite: this.#limit,
      maxLength: this.#options.maxBacklogBytes ?? 1_048_576,
    })
    stream.on('drop', (batch: string) => {
      this.#dropped += countLines(batch)
    })
    // What a failed write held stays in the stream, and is tried again with the next batch.
    stream.on('error', (error: Error) => this.#report(error))
    return stream
  }

  #report(error: Error): void {
    const now = this.#options.now()
    if (now - this.#lastError < ERROR_INTERVAL_MS) return
    this.#lastError = now
    this.#options.onError?.(error)
  }
}

function isFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile()
  } catch {
    return false
  }
}

function countLines(text: string): number {
  let lines = 0
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}
