/** `sluice version`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { outputOption } from '../admin-flags.ts'
import { type AddCommand, examples } from '../cli.ts'
import { EXIT_OK } from '../exit.ts'
import { type OutputFormat, writeJson } from '../output.ts'

export const addVersion: AddCommand = (program, { io, exit }) => {
  program
    .command('version')
    .summary('print the version')
    .description('Prints the version of Sluice and of the Node that runs it.')
    .addOption(outputOption())
    .addHelpText('after', examples([['sluice version --output json', 'for programs']]))
    .action(({ output }: { readonly output: OutputFormat }) => {
      const version = { sluice: packageVersion(), node: process.versions.node }
      if (output === 'json') writeJson(io.stdout, version)
      else io.stdout.write(`sluice ${version.sluice} (node ${version.node})\n`)
      exit(EXIT_OK)
    })
}

/** The version of the package; both from `src/` and from the built `dist/` it is three folders up. */
export function packageVersion(): string {
  const file = join(import.meta.dirname, '..', '..', '..', 'package.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}
