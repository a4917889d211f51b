/** `sluice dashboard`: where the console is. */
import { adminAddress, askAdmin } from '../admin-client.ts'
import { addAdminFlags, type AdminFlags } from '../admin-flags.ts'
import { type AddCommand, examples } from '../cli.ts'
import { EXIT_OK } from '../exit.ts'
import { type OutputFormat, writeJson } from '../output.ts'
import { formatHostPort } from '../../settings/values.ts'

export const addDashboard: AddCommand = (program, { io, exit }) => {
  const command = program
    .command('dashboard')
    .summary("print (or open) the address of a running gateway's console")
    .description("Prints the address of a running gateway's console; with --open it starts a browser as well.")
    .option('--open', 'start a browser')
    .addHelpText(
      'after',
      examples([
        ['sluice dashboard', 'print the address'],
        ['sluice dashboard --open', 'open it'],
      ]),
    )
  addAdminFlags(command).action(
    async (options: AdminFlags & { readonly open?: boolean; readonly output: OutputFormat }) => {
      await askAdmin(options, io, { path: '/status' })
      const address = await adminAddress(options, io)
      const host = address.host === '0.0.0.0' ? '127.0.0.1' : address.host === '::' ? '::1' : address.host
      const url = `http://${formatHostPort({ ...address, host })}/`
      if (options.output === 'json') writeJson(io.stdout, { url })
      else io.stdout.write(`${url}\n`)
      if (options.open === true) await openBrowser(url)
      exit(EXIT_OK)
    },
  )
}

/** Hands the address to the desktop. Where there is none the printed address has to do. */
async function openBrowser(url: string): Promise<void> {
  const { spawn } = await import('node:child_process')
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open'
  const child = spawn(opener, [url], { stdio: 'ignore', detached: true })
  child.on('error', () => {})
  child.unref()
}
