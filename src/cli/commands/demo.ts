/** `sluice demo`: the sample with small upstreams of its own. */
import { join, relative } from 'node:path'
import { type AddCommand, examples } from '../cli.ts'
import { CommandFailure } from '../exit.ts'
import { loadHost } from '../io.ts'
import { addRunFlags, loadFlags } from '../run-flags.ts'

/** Where the forward proxy of the demonstration listens. */
const DEMO_EGRESS = '127.0.0.1:3128'

export const addDemo: AddCommand = (program, { io, exit }) => {
  const command = program
    .command('demo')
    .summary('serve the sample with its own small upstreams, and say what to try')
    .description(
      'Serves the sample in config/ with small upstreams that it starts itself, and prints what to try. One worker; upstreams on 127.0.0.1, ports 9081 to 9086.',
    )
    .addHelpText(
      'after',
      examples([
        ['sluice demo', 'and follow what it prints'],
        ['sluice demo --listen 80=127.0.0.1:8888', 'on another port'],
      ]),
    )
  addRunFlags(command, ['config']).action(async (options: Record<string, unknown>) => {
    const [{ loadSettings }, { formatIssue }] = await Promise.all([
      import('../../settings/load.ts'),
      import('../../settings/issue.ts'),
    ])
    const folder = sampleFolder()
    const flags = loadFlags(options)
    // One core is one worker: a demonstration is easier to follow in one process.
    const host = { ...loadHost(io), cores: 1 }
    const egress = host.env['SLUICE_EGRESS'] ?? DEMO_EGRESS
    const values = { 'egress.listen': egress, ...flags.values, config: [folder] }
    const { settings, issues } = await loadSettings({ ...flags, values }, host)
    const [{ readyLine }, { runGateway }, upstreams, { demoText }] = await Promise.all([
      import('../ready.ts'),
      import('../gateway.ts'),
      import('../demo/upstreams.ts'),
      import('../demo/text.ts'),
    ])
    const running = await upstreams.startUpstreams(upstreams.demoUpstreams()).catch((error: Error) => {
      throw new CommandFailure(error.message)
    })
    try {
      const shown = relative(io.cwd, folder)
      const code = await runGateway(settings, {
        notices: issues.map(formatIssue),
        onReady: (report) => {
          io.stdout.write(readyLine(report))
          io.stdout.write(demoText(report, shown.startsWith('..') ? folder : shown))
        },
      })
      exit(code)
    } finally {
      await running.close()
    }
  })
}

/** The sample's folder; both in `src/` and in the built `dist/` it is three folders up. */
function sampleFolder(): string {
  return join(import.meta.dirname, '..', '..', '..', 'config')
}
