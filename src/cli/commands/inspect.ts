/** `sluice listeners`, `routes`, `clusters`, `certs`: what a running gateway has loaded. */
import type { Command } from 'commander'
import { askAdmin } from '../admin-client.ts'
import { type AddCommand, type Cli, examples } from '../cli.ts'
import { EXIT_OK } from '../exit.ts'
import { type OutputFormat, writeJson, writeTable } from '../output.ts'
import { addAdminFlags, type AdminFlags } from '../admin-flags.ts'
import { certificateRows, clusterRows, listenerRows, routeRows, type Rows } from '../rows.ts'

interface Inspection {
  readonly name: string
  readonly path: string
  readonly summary: string
  readonly description: string
  readonly rows: (body: unknown) => Rows
  /** Flags that narrow the answer, each sent as a query parameter of its name. */
  readonly filters?: readonly { readonly name: string; readonly argument: string; readonly help: string }[]
}

export const addListeners: AddCommand = (program, cli) =>
  addInspection(program, cli, {
    name: 'listeners',
    path: '/listeners',
    summary: 'ports of a running gateway',
    description: 'Lists what a running gateway listens on.',
    rows: listenerRows,
  })

export const addRoutes: AddCommand = (program, cli) =>
  addInspection(program, cli, {
    name: 'routes',
    path: '/routes',
    summary: 'routes of a running gateway, in the order in which they are tried',
    description: 'Lists the routes of a running gateway in the order in which they are tried.',
    rows: routeRows,
    filters: [
      { name: 'host', argument: 'HOST', help: 'only the virtual host that a request with this Host header gets' },
      { name: 'listener', argument: 'PORT', help: 'only those of this port' },
    ],
  })

export const addClusters: AddCommand = (program, cli) =>
  addInspection(program, cli, {
    name: 'clusters',
    path: '/clusters',
    summary: 'upstreams of a running gateway, with their endpoints',
    description: 'Lists the upstreams of a running gateway with the endpoints of each.',
    rows: clusterRows,
  })

export const addCerts: AddCommand = (program, cli) =>
  addInspection(program, cli, {
    name: 'certs',
    path: '/certs',
    summary: 'certificates of a running gateway, and when they end',
    description: 'Lists the certificates that a running gateway presents. Private keys are never shown.',
    rows: certificateRows,
  })

function addInspection(program: Command, { io, exit }: Cli, inspection: Inspection): void {
  const { name, path, summary, description, rows, filters = [] } = inspection
  const command = program
    .command(name)
    .summary(summary)
    .description(description)
    .addHelpText(
      'after',
      examples([
        [`sluice ${name}`, 'ask the gateway on this machine'],
        [`sluice ${name} --admin 127.0.0.1:15000 --output json`, 'another address; output for programs'],
      ]),
    )
  for (const filter of filters) command.option(`--${filter.name} <${filter.argument}>`, filter.help)
  addAdminFlags(command).action(
    async (options: AdminFlags & Record<string, string> & { readonly output: OutputFormat }) => {
      const given = filters.flatMap((filter): [string, string][] => {
        const value = options[filter.name]
        return value === undefined ? [] : [[filter.name, value]]
      })
      const query = given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`
      const body = await askAdmin(options, io, { path: `${path}${query}` })
      if (options.output === 'json') {
        writeJson(io.stdout, body)
      } else {
        const table = rows(body)
        await writeTable(io, table.headings, table.rows)
      }
      exit(EXIT_OK)
    },
  )
}
