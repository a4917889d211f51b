/** `sluice run`: serve. */
import { type AddCommand, examples } from '../cli.ts'
import { loadHost } from '../io.ts'
import { addRunFlags, loadFlags } from '../run-flags.ts'

export const addRun: AddCommand = (program, { io, exit }) => {
  const command = program
    .command('run')
    .summary('serve resources from files')
    .description(
      'Serves the resources in files and folders of YAML or JSON and follows their changes. Prints one JSON line with "msg":"ready" on standard output when it serves; its log goes to standard error, access logs to standard output.',
    )
    .addHelpText(
      'after',
      examples([
        ['sluice run', 'serve ./config'],
        ['sluice run --config mesh.yaml --config routes/', 'serve a file and a folder'],
        ['sluice run --listen 80=127.0.0.1:8000', 'bind port 80 of the Gateways to 127.0.0.1:8000'],
        ['SLUICE_WORKERS=2 sluice run', 'flags are environment variables too'],
      ]),
    )
  addRunFlags(command).action(async (options: Record<string, unknown>) => {
    const [{ loadSettings }, { formatIssue }] = await Promise.all([
      import('../../settings/load.ts'),
      import('../../settings/issue.ts'),
    ])
    const { settings, issues } = await loadSettings(loadFlags(options), loadHost(io))
    const notices = [...issues.map(formatIssue), ...missingSources(settings.kubernetes, io.env)]
    // After the settings: a mistake in them is told without loading a gateway.
    const [{ readyLine }, { runGateway }] = await Promise.all([import('../ready.ts'), import('../gateway.ts')])
    exit(await runGateway(settings, { notices, onReady: (report) => io.stdout.write(readyLine(report)) }))
  })
}

/** Inside a cluster someone may expect the resources of the cluster: say that they are not read. */
function missingSources(kubernetes: boolean, env: Readonly<Record<string, string | undefined>>): readonly string[] {
  if (!kubernetes || env['KUBERNETES_SERVICE_HOST'] === undefined) return []
  return ['resources are read from files only: this version does not read the Kubernetes API']
}
