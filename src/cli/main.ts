/** The entry: arguments → command → exit code. */
import { Command, CommanderError } from 'commander'
import type { Cli } from './cli.ts'
import { addAnalyze } from './commands/analyze.ts'
import { addDashboard } from './commands/dashboard.ts'
import { addDemo } from './commands/demo.ts'
import { addEgress } from './commands/egress.ts'
import { addExplain } from './commands/explain.ts'
import { addCerts, addClusters, addListeners, addRoutes } from './commands/inspect.ts'
import { addRun } from './commands/run.ts'
import { addStatus } from './commands/status.ts'
import { addVersion } from './commands/version.ts'
import { CommandFailure, EXIT_OK, EXIT_UNUSABLE } from './exit.ts'
import { type CommandIo, processIo } from './io.ts'

/** In the order of `sluice --help`. */
const COMMANDS = [
  addRun,
  addDemo,
  addAnalyze,
  addExplain,
  addListeners,
  addRoutes,
  addClusters,
  addCerts,
  addEgress,
  addStatus,
  addDashboard,
  addVersion,
]

/** All commands with their flags. */
export function buildProgram(cli: Cli): Command {
  const { stdout, stderr } = cli.io
  const program = new Command('sluice')
    .description("An ingress and egress gateway that serves Istio's own resources.")
    .helpCommand(false)
    .showHelpAfterError('Run with --help for the flags and examples.')
    .configureOutput({ writeOut: (text) => stdout.write(text), writeErr: (text) => stderr.write(text) })
    .exitOverride()
  for (const add of COMMANDS) add(program, cli)
  return program
}

/** Runs one command line. @returns The exit code. */
export async function runCommandLine(args: readonly string[], io: CommandIo): Promise<number> {
  let exitCode: number = EXIT_OK
  const program = buildProgram({ io, exit: (code) => (exitCode = code) })
  try {
    await program.parseAsync([...args], { from: 'user' })
    return exitCode
  } catch (error) {
    // What commander complains about it has printed already, with the nearest known name.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_UNUSABLE
    if (error instanceof CommandFailure || (error instanceof Error && error.name === 'SettingsError')) {
      io.stderr.write(`${error.message}\n`)
      return error instanceof CommandFailure ? error.exitCode : EXIT_UNUSABLE
    }
    throw error
  }
}

export async function main(args: readonly string[]): Promise<void> {
  process.exitCode = await runCommandLine(args, processIo())
}
