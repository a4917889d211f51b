/** What a command has of the world outside: tests give it other streams and other variables. */
import { readFileSync } from 'node:fs'
import { availableParallelism, homedir } from 'node:os'
import type { LoadHost } from '../settings/load.ts'

export interface Output {
  write(text: string): unknown
  /** True for a terminal: only that gets colours. */
  readonly isTTY?: boolean
}

export interface CommandIo {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
}

export function processIo(): CommandIo {
  return { stdout: process.stdout, stderr: process.stderr, env: process.env, cwd: process.cwd() }
}

/** What loading the settings needs. */
export function loadHost({ env, cwd }: CommandIo): LoadHost {
  return {
    env,
    cwd,
    cores: availableParallelism(),
    root: process.getuid?.() === 0,
    home: homedir(),
    readFile: (path) => {
      try {
        return readFileSync(path, 'utf8')
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        // ENOTDIR: the first config path is a file, so there is no folder to look for settings in.
        if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
        throw error
      }
    },
  }
}
