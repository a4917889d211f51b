/**
 * What tests need beyond Node and npm packages. The runner gets it before the tests start; a test asks
 * {@link skipWithout}, so that on a machine that cannot have a tool it is skipped and says why.
 */
import { type Machine, type Tool, ensureTools, findCommand, thisMachine } from './tools.ts'

export interface Requirement extends Tool {
  /** Folders or files, from the root of the repository with `/`: tests in them need it. */
  readonly neededBy: readonly string[]
}

/** One row a tool. A tool that no test uses has no row. */
export const REQUIREMENTS = [
  {
    command: 'openssl',
    debianPackage: 'openssl',
    neededBy: [
      'test/integration/',
      'test/security/',
      'test/unit/certificates/',
      'test/unit/listeners/tls-servers.test.ts',
      'test/unit/lib/peek-client-hello.test.ts',
      'test/unit/upstreams/',
      'conformance/',
    ],
  },
  { command: 'curl', debianPackage: 'curl', neededBy: ['test/integration/gateway-tls.test.ts'] },
  { command: 'pebble', debianPackage: 'pebble', neededBy: ['test/integration/acme'] },
  { command: 'pebble-challtestsrv', debianPackage: 'pebble', neededBy: ['test/integration/acme'] },
  { command: 'named', debianPackage: 'bind9', neededBy: ['test/integration/acme'] },
  {
    command: 'redis-server',
    debianPackage: 'redis-server',
    neededBy: ['test/integration/limits/', 'test/integration/acme', 'conformance/'],
  },
  { command: 'nginx', debianPackage: 'nginx-light', neededBy: ['test/integration/upstream-tls.test.ts'] },
  { command: 'curl', debianPackage: 'curl', neededBy: ['test/integration/egress-clients.test.ts'] },
  { command: 'git', debianPackage: 'git', neededBy: ['test/integration/egress-clients.test.ts'] },
  { command: 'apt-get', debianPackage: 'apt', neededBy: ['test/integration/egress-clients.test.ts'] },
] as const satisfies readonly Requirement[]

export type RequiredCommand = (typeof REQUIREMENTS)[number]['command']

/** The rows that a run of these files needs. @param files From the root of the repository, with `/`. */
export function requirementsOf(
  files: readonly string[],
  table: readonly Requirement[] = REQUIREMENTS,
): readonly Requirement[] {
  return table.filter(({ neededBy }) => neededBy.some((place) => files.some((file) => file.startsWith(place))))
}

/**
 * Gets what a run of these files needs.
 *
 * @returns One line a tool that is missing for good; with `CI=true` the run must then fail instead of skipping.
 */
export function meetRequirements(
  files: readonly string[],
  machine: Machine,
  table: readonly Requirement[] = REQUIREMENTS,
): readonly string[] {
  return ensureTools(requirementsOf(files, table), machine).map(missingReason)
}

/**
 * For node:test's `skip`: why a test cannot run here, or false.
 *
 * @throws With `CI=true`, where a missing tool is a fault of the machine and a skipped test would hide it.
 */
export function skipWithout(command: RequiredCommand, machine: Pick<Machine, 'env'> = thisMachine()): string | false {
  if (findCommand(command, machine.env.PATH) !== undefined) return false
  const reason = missingReason(
    REQUIREMENTS.find((row) => row.command === command) ?? { command, debianPackage: command },
  )
  if (inContinuousIntegration(machine)) throw new Error(reason)
  return reason
}

/** Whether `CI=true`: nothing may be skipped for want of a tool. */
export function inContinuousIntegration({ env }: Pick<Machine, 'env'>): boolean {
  return env.CI === 'true'
}

function missingReason({ command, debianPackage }: Tool): string {
  return `needs ${command}, which is not on this machine (Debian package: ${debianPackage})`
}
