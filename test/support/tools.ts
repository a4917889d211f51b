/**
 * Programs that tests and benchmarks start but that npm does not bring: where they are, and how to get them on Debian.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Tool {
  /** The program's file name, looked for on `PATH`. */
  readonly command: string
  /** The Debian package that has it. */
  readonly debianPackage: string
}

/** What the outside world looks like; tests pass their own. */
export interface Machine {
  /** `PATH`, and `CI` where it is set. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** Whether packages may be installed: root, and `apt-get` is there. */
  readonly canInstall: boolean
  /** Runs a program to its end and tells whether it ended with 0; its output goes to standard error. */
  readonly execute: (program: string, args: readonly string[]) => boolean
}

/** Longest wait for one `apt-get`, milliseconds: a mirror that hangs must not hold up a whole run. */
const APT_TIMEOUT_MS = 300_000

/** The machine that this process runs on. */
export function thisMachine(): Machine {
  const { env } = process
  return {
    env,
    canInstall: process.getuid?.() === 0 && findCommand('apt-get', env.PATH) !== undefined,
    execute: (program, args) =>
      spawnSync(program, args, {
        // Package scripts of servers must neither ask nor start what they install (invoke-rc.d reads RUNLEVEL).
        env: { ...env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
        // Standard output stays the caller's: only a benchmark's or a test runner's own result belongs there.
        stdio: ['ignore', 2, 2],
        timeout: APT_TIMEOUT_MS,
      }).status === 0,
  }
}

/** The absolute path of `command` on `path` (as the variable `PATH` has it), or undefined. */
export function findCommand(command: string, path: string | undefined): string | undefined {
  // Debian keeps servers in sbin, which the PATH of an ordinary user leaves out.
  const folders = [...(path ?? '').split(delimiter).filter((folder) => folder !== ''), '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, command)).find(isExecutable)
}

function isExecutable(file: string): boolean {
  if (!existsSync(file)) return false
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * Installs what is missing, if that is possible here: one `apt-get update`, one `apt-get install`.
 *
 * @returns The tools that are still missing.
 */
export function ensureTools<T extends Tool>(tools: readonly T[], machine: Machine): readonly T[] {
  const missing = (): readonly T[] =>
    tools.filter(({ command }) => findCommand(command, machine.env.PATH) === undefined)
  const wanted = missing()
  if (wanted.length === 0 || !machine.canInstall) return wanted
  const packages = [...new Set(wanted.map(({ debianPackage }) => debianPackage))]
  machine.execute('apt-get', ['update', '-qq']) // package lists a little old are better than none: install decides
  machine.execute('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages])
  return missing()
}
