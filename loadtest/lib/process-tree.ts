/**
 * What a process and all its descendants have used, read from `/proc` (Linux only; `man 5 proc`).
 */
import { readFileSync, readdirSync } from 'node:fs'

/** One line of `/proc/PID/stat`, as far as it is needed. */
export interface ProcessStat {
  readonly pid: number
  readonly parent: number
  /** User and system time of the process and of the children it has waited for, clock ticks. */
  readonly ticks: number
}

export interface Usage {
  /** User and system time since each process began, seconds. */
  readonly cpuSeconds: number
  /** Resident memory; pages that processes share are counted once for each. */
  readonly rssBytes: number
  /** Resident memory; shared pages are divided among those that share them, so the sum over a tree is fair. */
  readonly pssBytes: number
  readonly processes: number
}

/** Clock ticks a second in `/proc`: USER_HZ, which Linux keeps at 100 on all architectures that Node supports. */
const TICKS_PER_SECOND = 100

/**
 * Reads one stat line. The command, second field, is in parentheses and may itself hold spaces and parentheses, so
 * fields are counted from the last one.
 */
export function parseStat(line: string): ProcessStat | undefined {
  const after = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const pid = Number.parseInt(line, 10)
  const parent = Number(after[1])
  // Fields 14 to 17: utime, stime, cutime, cstime. A child that ends moves from the first two of its own into the last
  // two of its parent, so the sum over a tree never falls and counts nothing twice.
  const ticks = after.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return Number.isNaN(pid) || Number.isNaN(parent) || Number.isNaN(ticks) ? undefined : { pid, parent, ticks }
}

/** `root` and all below it. */
export function selectTree(processes: readonly ProcessStat[], root: number): readonly ProcessStat[] {
  const children = Map.groupBy(processes, ({ parent }) => parent)
  const tree = processes.filter(({ pid }) => pid === root)
  // Grows while it is walked; ends because a process has one parent and so is added once.
  for (const { pid } of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

/** Sums a `/proc/PID/smaps_rollup`'s lines of one name, bytes. */
export function parseRollup(text: string, field: 'Rss' | 'Pss'): number {
  return Number(new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024
}

/** The process and all its descendants at present, itself first. */
export function readTree(root: number): readonly ProcessStat[] {
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => parseStat(readOr(`/proc/${name}/stat`)))
    .filter((stat) => stat !== undefined)
  return selectTree(stats, root)
}

/** What the tree of `root` has used so far. A process that ends meanwhile counts as far as it could be read. */
export function readUsage(root: number): Usage {
  const tree = readTree(root)
  const rollups = tree.map(({ pid }) => readOr(`/proc/${pid}/smaps_rollup`))
  return {
    cpuSeconds: cpuSecondsOf(tree),
    rssBytes: sum(rollups.map((text) => parseRollup(text, 'Rss'))),
    pssBytes: sum(rollups.map((text) => parseRollup(text, 'Pss'))),
    processes: tree.length,
  }
}

/** User and system time of these processes. */
export function cpuSecondsOf(processes: readonly ProcessStat[]): number {
  return sum(processes.map(({ ticks }) => ticks)) / TICKS_PER_SECOND
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, value) => total + value, 0)
}

/** A process may end between the listing and the reading. */
function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
