/** The reference page of the command line (docs/cli.md), written from the commands: `node src/cli/reference.ts`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { buildProgram } from './main.ts'

const INTRODUCTION = `# Command line

<!-- Written by src/cli/reference.ts from the commands in src/cli/commands/. Change it there. -->

In a checkout \`npx sluice\` is the command (after \`npm ci\`); in an installed package it is \`sluice\`.

- Flags of \`run\` and \`demo\` are settings too, in \`sluice.yaml\` and as environment variables: see
  [settings](settings.md).
- An unknown command or flag ends with exit code 2 and the nearest known one.
- Exit codes: 0 all is well; 1 the command found something wrong (\`analyze\`: errors, \`status\`: not in step or something
  rejected); 2 it could not do its work (bad flag, unreadable file, no gateway).
- Colours are for terminals only, and \`NO_COLOR\` switches them off.
`

/** Column at which help is broken: the page is not a terminal. */
const WIDTH = 100

/** The whole page. */
export function cliReference(): string {
  let text = ''
  const capture = { write: (part: string) => (text += part) }
  const program = buildProgram({ io: { stdout: capture, stderr: capture, env: {}, cwd: '/' }, exit: () => {} })
  const help = (command: Command): string => {
    text = ''
    command.configureOutput({ writeOut: capture.write, getOutHelpWidth: () => WIDTH, getOutHasColors: () => false })
    command.outputHelp()
    return `\`\`\`text\n${text.trimEnd()}\n\`\`\`\n`
  }
  const sections = program.commands.map((command) => `## \`sluice ${command.name()}\`\n\n${help(command)}`)
  return [INTRODUCTION, help(program), ...sections].join('\n')
}

if (import.meta.main) writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'cli.md'), cliReference())
