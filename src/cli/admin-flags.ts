/** The flags of every command that asks a running gateway. */
import { type Command, Option } from 'commander'

export interface AdminFlags {
  readonly admin?: string
  readonly settings?: string
}

export function addAdminFlags(command: Command): Command {
  const admin = new Option(
    '--admin <[HOST:]PORT>',
    "the gateway's admin address (default SLUICE_ADMIN, sluice.yaml, 127.0.0.1:15000)",
  )
  // Commander takes brackets for an optional argument; here they are part of how an address is written.
  admin.required = true
  admin.optional = false
  return command
    .addOption(admin)
    .option('--settings <FILE>', 'sluice.yaml of that gateway, for its admin address')
    .addOption(outputOption())
}

export function outputOption(): Option {
  return new Option('--output <FORMAT>', 'for people or for programs').choices(['table', 'json']).default('table')
}
