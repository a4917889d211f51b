/** How commands print what they found: a table for people, JSON for programs. */
import { styleText } from 'node:util'
import type { CommandIo, Output } from './io.ts'

export type OutputFormat = 'table' | 'json'

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan'

/** Marks text for a terminal; elsewhere, and with `NO_COLOR` (https://no-color.org), it stays as it is. */
export function paint({ env }: Pick<CommandIo, 'env'>, output: Output, style: Style, text: string): string {
  const wanted = output.isTTY === true && (env['NO_COLOR'] ?? '') === ''
  return wanted ? styleText(style, text, { validateStream: false }) : text
}

export function writeJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value, null, 2)}\n`)
}

/** Prints rows under headings, columns two blanks apart and without lines, so that `awk` and `cut` can read it too. */
export async function writeTable(
  io: CommandIo,
  headings: readonly string[],
  rows: readonly (readonly string[])[],
): Promise<void> {
  const { default: Table } = await import('cli-table3')
  const chars = Object.fromEntries(BORDERS.map((part) => [part, '']))
  const table = new Table({
    head: headings.map((heading) => paint(io, io.stdout, 'bold', heading.toUpperCase())),
    chars: { ...chars, middle: '  ' },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  table.push(...rows.map((row) => row.map(oneLine)))
  const lines = table.toString().split('\n')
  io.stdout.write(`${lines.map((line) => line.trimEnd()).join('\n')}\n`)
}

const BORDERS = [
  'top',
  'top-mid',
  'top-left',
  'top-right',
  'bottom',
  'bottom-mid',
  'bottom-left',
  'bottom-right',
  'left',
  'left-mid',
  'mid',
  'mid-mid',
  'right',
  'right-mid',
]

/** Names come from resources and upstreams: nothing in them may move the terminal's cursor or break a row. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}
