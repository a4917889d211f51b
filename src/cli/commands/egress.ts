/** `sluice egress learn`: from an audit of the forward proxy to the resources that allow exactly what it saw. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type AddCommand, examples } from '../cli.ts'
import { CommandFailure, EXIT_FOUND, EXIT_OK, EXIT_UNUSABLE } from '../exit.ts'

export const addEgress: AddCommand = (program, { io, exit }) => {
  const egress = program
    .command('egress')
    .summary('what left through the forward proxy, as resources that allow it')
    .description('Works with the audit of the forward proxy (run --egress).')
    .helpCommand(false)
    .addHelpText('after', examples([['sluice egress learn audit.log', 'resources that allow what the audit saw']]))
  egress
    .command('learn')
    .summary('print the resources that allow what an audit saw')
    .description(
      'Reads audit logs of the forward proxy and prints the ServiceEntries, and an AuthorizationPolicy with a rule for each client, that allow exactly what got through. To learn, let everything through for a while: mesh.outboundTrafficPolicy.mode: ALLOW_ANY. Exit code 0: something was learned; 1: nothing got through; 2: a file cannot be read.',
    )
    .argument('<FILE...>', 'audit logs; other lines in them are skipped')
    .option('--service-entry-namespace <NS>', 'namespace of the ServiceEntries', 'default')
    .option('--namespace <NS>', "the gateway's namespace, for the policy", 'istio-system')
    .addHelpText(
      'after',
      examples([['sluice egress learn audit.log > learned.yaml', 'read it, cut it down, and add it to the resources']]),
    )
    .action(async (files: readonly string[], options: { namespace: string; serviceEntryNamespace: string }) => {
      const [{ learn }, { stringify }] = await Promise.all([import('../../egress/learn.ts'), import('yaml')])
      const lines = files.flatMap((file) => readLines(resolve(io.cwd, file)))
      const learned = learn(lines, {
        namespace: options.serviceEntryNamespace,
        gatewayNamespace: options.namespace,
      })
      io.stdout.write(learned.resources.map((resource) => stringify(resource)).join('---\n'))
      const { records, refused, skipped } = learned
      io.stderr.write(`${records} got through, ${refused} were refused or failed, ${skipped} other lines\n`)
      exit(records === 0 ? EXIT_FOUND : EXIT_OK)
    })
}

function readLines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n')
  } catch (error) {
    throw new CommandFailure(`${file} cannot be read: ${(error as Error).message}`, EXIT_UNUSABLE)
  }
}
