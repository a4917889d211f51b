/** `sluice status`: whether a running gateway is in step with its sources, and what it rejected. */
import { askAdmin } from '../admin-client.ts'
import { addAdminFlags, type AdminFlags } from '../admin-flags.ts'
import { type AddCommand, examples } from '../cli.ts'
import { EXIT_FOUND, EXIT_OK } from '../exit.ts'
import type { CommandIo } from '../io.ts'
import { type OutputFormat, paint, writeJson, writeTable } from '../output.ts'
import { type StatusSummary, summariseStatus } from '../status-summary.ts'

export const addStatus: AddCommand = (program, { io, exit }) => {
  const command = program
    .command('status')
    .summary('is a running gateway in step with its sources, and what was rejected')
    .description(
      'Says whether every worker of a running gateway serves the newest configuration, and which objects were rejected and why. Exit code 0: in step, nothing rejected, every certificate usable; 1: not so; 2: no gateway answers.',
    )
    .addHelpText(
      'after',
      examples([
        ['sluice status', 'for people'],
        ['sluice status --output json', 'for programs'],
      ]),
    )
  addAdminFlags(command).action(async (options: AdminFlags & { readonly output: OutputFormat }) => {
    const body = await askAdmin(options, io, { path: '/status' })
    const summary = summariseStatus(body)
    if (options.output === 'json') writeJson(io.stdout, body)
    else await print(summary, io)
    exit(summary.inStep && summary.rejected.length + summary.trouble.length === 0 ? EXIT_OK : EXIT_FOUND)
  })
}

async function print(summary: StatusSummary, io: CommandIo): Promise<void> {
  const { stdout } = io
  const { inStep, generation, workers, trouble, rejected, proven, notProven, closedBy } = summary
  const verdict = inStep ? paint(io, stdout, 'green', 'in step') : paint(io, stdout, 'red', 'not in step')
  stdout.write(`${verdict} with its sources, generation ${generation}\n`)
  for (const line of trouble) stdout.write(`${line}\n`)
  if (closedBy !== undefined) {
    stdout.write(`${paint(io, stdout, 'red', 'closed')}: every request is refused with 403, because of ${closedBy}\n`)
  }
  if (workers.length > 0) {
    stdout.write('\n')
    await writeTable(io, ['worker', 'pid', 'generation', 'restarts'], workers)
  }
  if (proven !== undefined) stdout.write(`\nsecurity policies that were seen to refuse what they have to: ${proven}\n`)
  for (const line of notProven) stdout.write(`  ${line}\n`)
  if (rejected.length === 0) {
    stdout.write('\nnothing was rejected\n')
    return
  }
  stdout.write(`\n${paint(io, stdout, 'yellow', 'rejected')}:\n`)
  for (const line of rejected) stdout.write(`  ${line}\n`)
}
