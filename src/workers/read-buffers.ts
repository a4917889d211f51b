/**
 * Keeps what passed bodies leave behind small. Node reads each piece of a body into a buffer of 64 KiB outside V8's
 * heap; to V8 it is a small object, so that it lets about 64 MiB of them gather before it looks. A collection of the
 * young ones after every 16 MiB takes less than a millisecond and keeps that to a quarter.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** Bytes of bodies between two collections. */
const INTERVAL_BYTES = 16 * 1024 * 1024

/** Pieces below this share a slab of Node's and leave little behind. */
const LEAST_BYTES = 16 * 1024

type Collect = (options: { type: 'minor' }) => void

/** @returns To be told of the length of every piece of a body that is passed on. */
export function createBufferCollector(collect: Collect = exposedCollector()): (bytes: number) => void {
  let since = 0
  return (bytes) => {
    if (bytes < LEAST_BYTES) return
    since += bytes
    if (since < INTERVAL_BYTES) return
    since = 0
    collect({ type: 'minor' })
  }
}

/** As in release-memory.ts: only a context that is made meanwhile sees V8's collector. */
function exposedCollector(): Collect {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  return collect
}
