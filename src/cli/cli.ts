/** What every command shares: where it prints, and how it says how it went. */
import type { Command } from 'commander'
import type { CommandIo } from './io.ts'

/** One run of the program. */
export interface Cli {
  readonly io: CommandIo
  /** Called by the command that ran, once. */
  readonly exit: (code: number) => void
}

/** Adds a command to the program: its flags and help. What it needs to run is imported when it runs. */
export type AddCommand = (program: Command, cli: Cli) => void

/** Examples below the options of `--help`, one a line, with what each does. */
export function examples(lines: readonly (readonly [command: string, meaning: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length))
  return `\nExamples:\n${lines.map(([command, meaning]) => `  ${command.padEnd(width)}  ${meaning}`).join('\n')}\n`
}
