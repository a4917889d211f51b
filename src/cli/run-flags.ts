/** The flags of `run` and `demo`, and the settings that they are flags of. */
import { type Command, Option } from 'commander'
import type { LoadFlags } from '../settings/load.ts'

interface RunFlag {
  /** Dotted path of the setting. */
  readonly path: string
  readonly long: string
  /** How its argument is written; absent for a switch. */
  readonly argument?: string
  readonly repeatable?: true
  readonly help: string
}

/**
 * Written out, not taken from the settings' schema: that takes longer to load than most commands take to run. A test
 * holds the two together.
 */
export const RUN_FLAGS: readonly RunFlag[] = [
  {
    path: 'config',
    long: '--config',
    argument: 'PATH',
    repeatable: true,
    help: 'file or folder of resources to serve, watched (default ./config)',
  },
  {
    path: 'listen',
    long: '--listen',
    argument: 'PORT=[HOST:]PORT',
    repeatable: true,
    help: "bind a Gateway server's port to another local one; a local port of 0 picks a free one (default as root the port itself, else 80=8080 and 443=8443)",
  },
  {
    path: 'address',
    long: '--address',
    argument: 'HOST',
    help: "address that listeners bind to (default :: with IPv4, or the server's own bind)",
  },
  { path: 'admin', long: '--admin', argument: '[HOST:]PORT', help: 'console and admin API (default 127.0.0.1:15000)' },
  {
    path: 'status',
    long: '--status',
    argument: '[HOST:]PORT',
    help: '/healthz/ready, /healthz/live, /stats/prometheus (default 0.0.0.0:15021)',
  },
  {
    path: 'egress.listen',
    long: '--egress',
    argument: '[HOST:]PORT',
    help: 'explicit forward proxy that lets through what ServiceEntries list (default off; in demo 3128)',
  },
  {
    path: 'workers',
    long: '--workers',
    argument: 'N',
    help: 'worker processes that share every port; auto is one a core (default auto; in demo 1)',
  },
  {
    path: 'labels',
    long: '--labels',
    argument: 'k=v,…',
    help: "this gateway's labels, for Gateway.spec.selector (default none: every Gateway is served)",
  },
  { path: 'namespace', long: '--namespace', argument: 'NS', help: "this gateway's namespace (default istio-system)" },
  {
    path: 'state',
    long: '--state',
    argument: 'DIR',
    help: 'what must outlive a restart (default below $XDG_STATE_HOME/sluice or ~/.local/state/sluice)',
  },
  {
    path: 'redis.url',
    long: '--redis',
    argument: 'URL',
    help: 'Redis that gateways share for rate limits (default none: each counts for itself)',
  },
  {
    path: 'kubernetes',
    long: '--kubernetes',
    help: 'read resources from the Kubernetes API as well; accepted, not done by this version',
  },
]

const SETTINGS_HELP =
  'sluice.yaml: everything that is not a resource (default sluice.yaml in the first config folder, if there)'

/** Adds the flags. @param without Dotted paths of settings whose flag this command does not take. */
export function addRunFlags(command: Command, without: readonly string[] = []): Command {
  for (const flag of RUN_FLAGS) {
    if (without.includes(flag.path)) continue
    command.addOption(optionOf(flag))
  }
  return command.option('--settings <FILE>', SETTINGS_HELP)
}

/** Settings that decide what resources mean for this gateway. */
const IDENTITY = ['labels', 'namespace']

/** The flags of commands that read resources and serve nothing. */
export function addIdentityFlags(command: Command): Command {
  const others = RUN_FLAGS.map(({ path }) => path).filter((path) => !IDENTITY.includes(path))
  return addRunFlags(command, others)
}

/** The values given on the command line, by setting. @param options What commander read. */
export function loadFlags(options: Readonly<Record<string, unknown>>): LoadFlags {
  const values: Record<string, string | readonly string[]> = {}
  for (const { path, long } of RUN_FLAGS) {
    const value = options[long.slice(2)]
    if (value === true) values[path] = 'true'
    else if (typeof value === 'string' || Array.isArray(value)) values[path] = value
  }
  const settings = options['settings']
  return typeof settings === 'string' ? { settings, values } : { values }
}

function optionOf({ long, argument, repeatable, help }: RunFlag): Option {
  if (argument === undefined) return new Option(long, help)
  const option = new Option(`${long} <${argument}>`, help)
  // Commander takes brackets anywhere for an optional argument; here they are part of how an address is written.
  option.required = true
  option.optional = false
  if (repeatable === true) {
    option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value])
  }
  return option
}
