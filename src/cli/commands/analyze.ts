/** `sluice analyze`: what is wrong with resources, without serving them. */
import { outputOption } from '../admin-flags.ts'
import { type AddCommand, examples } from '../cli.ts'
import { EXIT_FOUND, EXIT_OK, EXIT_UNUSABLE } from '../exit.ts'
import { loadHost } from '../io.ts'
import { oneLine, type OutputFormat, paint, type Style, writeJson } from '../output.ts'
import { addIdentityFlags, loadFlags } from '../run-flags.ts'
import type { Severity } from '../../plan/problem.ts'

const SEVERITY_STYLE: Readonly<Record<Severity, Style>> = { error: 'red', warning: 'yellow', info: 'cyan' }

export const addAnalyze: AddCommand = (program, { io, exit }) => {
  const command = program
    .command('analyze')
    .summary('check resources without serving them')
    .description(
      'Checks the resources in files and folders (default: the config setting, ./config) as `run` would read them, and looks for mistakes that are no errors. Exit code 0: no errors, warnings allowed; 1: errors; 2: something cannot be read.',
    )
    .argument('[PATH...]', 'files or folders of YAML or JSON')
    .addOption(outputOption())
    .addHelpText(
      'after',
      examples([
        ['sluice analyze', 'check ./config'],
        ['sluice analyze gateway.yaml routes/', 'check a file and a folder'],
        ['sluice analyze --output json config/', 'for programs'],
      ]),
    )
  addIdentityFlags(command).action(
    async (paths: readonly string[], options: Record<string, unknown> & { readonly output: OutputFormat }) => {
      const [{ loadSettings }, { analyzePaths }, { formatProblem }] = await Promise.all([
        import('../../settings/load.ts'),
        import('../analyze-paths.ts'),
        import('../../plan/problem.ts'),
      ])
      const flags = loadFlags(options)
      const values = paths.length === 0 ? flags.values : { ...flags.values, config: paths }
      const { settings } = await loadSettings({ ...flags, values }, loadHost(io))
      const { problems, resources, unreadable } = await analyzePaths(settings)
      const errors = problems.filter(({ severity }) => severity === 'error').length
      const warnings = problems.filter(({ severity }) => severity === 'warning').length
      if (options.output === 'json') {
        writeJson(io.stdout, { resources, errors, warnings, problems })
      } else {
        for (const problem of problems) {
          const line = oneLine(formatProblem(problem))
          io.stdout.write(
            `${line.replace(` ${problem.severity}:`, (text) => paint(io, io.stdout, SEVERITY_STYLE[problem.severity], text))}\n`,
          )
        }
        io.stdout.write(`${count(resources, 'resource')}, ${count(errors, 'error')}, ${count(warnings, 'warning')}\n`)
      }
      exit(unreadable ? EXIT_UNUSABLE : errors > 0 ? EXIT_FOUND : EXIT_OK)
    },
  )
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
