/** What every part of the benchmark is given. */

export interface BenchContext {
  /** A folder of the part's own, empty. */
  readonly dir: string
  /** The root of this repository. */
  readonly root: string
  /** The absolute path of a tool, undefined where it is missing. */
  readonly find: (command: string) => string | undefined
  /** Progress, for people. */
  readonly log: (line: string) => void
  /** The upstream of all routes, on 127.0.0.1. */
  readonly upstreamPort: number
  /** VirtualServices of the large configuration. */
  readonly count: number
  readonly workers: number
}

/** VirtualServices whose hosts get requests: one in a hundred, evenly spread, and never fewer than ten. */
export function inUse(count: number): { readonly hosts: number; readonly stride: number } {
  const hosts = Math.min(count, Math.max(10, Math.round(count / 100)))
  return { hosts, stride: Math.floor(count / hosts) }
}

/** Mebibytes. */
export function toMiB(bytes: number): number {
  return bytes / 1024 / 1024
}
