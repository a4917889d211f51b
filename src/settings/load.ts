/**
 * From flags, environment variables and `sluice.yaml` to {@link Settings}. The order is flag, environment, file,
 * default, for each setting by itself.
 */
import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { load as parseYaml } from 'js-yaml'
import { contradictionsOf } from './acme-check.ts'
import { readEnvironment, SETTINGS_VARIABLE } from './environment.ts'
import { type SettingsIssue, SettingsError } from './issue.ts'
import { linesOf } from './lines.ts'
import { hasRedis } from './redis.ts'
import { type Override, type Pending, leaves, readSettings } from './read.ts'
import type { WrittenSettings } from './schema.ts'

/** Every setting with its value: what has a default is never absent, times are milliseconds, off is null. */
export interface Settings extends Omit<WrittenSettings, 'workers' | 'state' | 'kubernetes'> {
  readonly workers: number
  /** Absolute path. */
  readonly state: string
  readonly kubernetes: boolean
  /** True: listeners of ports below 1024 without a mapping bind to the port itself. Else 80=8080 and 443=8443. */
  readonly bindsLowPorts: boolean
}

/** What loading needs from the outside. */
export interface LoadHost {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute path that relative ones start from. */
  readonly cwd: string
  readonly cores: number
  /** Whether this process may bind ports below 1024. */
  readonly root: boolean
  /** The home folder, for the state folder's default. */
  readonly home: string
  /** Text of a file; undefined where there is none. Throws what else is wrong with it. */
  readonly readFile: (path: string) => string | undefined
}

/** Flags by setting: dotted path → text as given, or all texts of a flag that may be repeated. */
export interface LoadFlags {
  /** `--settings FILE`. */
  readonly settings?: string
  readonly values: Readonly<Record<string, string | readonly string[]>>
}

export interface Loaded {
  readonly settings: Settings
  /** The file that was read; undefined where there is none. */
  readonly file: string | undefined
  /** Warnings. */
  readonly issues: readonly SettingsIssue[]
}

const SETTINGS_FILE = 'sluice.yaml'

/** @throws SettingsError with everything that is wrong. */
export async function loadSettings(flags: LoadFlags, host: LoadHost): Promise<Loaded> {
  const environment = readEnvironment(host.env)
  const overrides = new Map([...environment.overrides, ...flagOverrides(flags.values)])
  const { file, text } = readSettingsFile(flags, overrides.get('config'), host)
  const parsed = parse(text, file)
  const { value, issues } = readSettings({ document: parsed, overrides })
  const contradictions = contradictionsOf(value.acme, hasRedis(value.redis)).map((found): Pending => ({
    severity: 'error',
    given: { kind: 'file' },
    path: found.at.join('.'),
    ...found,
  }))
  const pending = [...issues, ...contradictions]
  const all = [...environment.issues, ...(await address(pending, file ?? SETTINGS_FILE, text))]
  if (all.some(({ severity }) => severity === 'error')) throw new SettingsError(all)
  return { settings: resolveSettings(value, host), file, issues: all }
}

/** Works out what depends on the machine. */
export function resolveSettings(written: WrittenSettings, host: Omit<LoadHost, 'readFile'>): Settings {
  const config = written.config.length === 0 ? ['./config'] : written.config
  const { concurrency } = written.mesh.defaultConfig
  const automatic = concurrency > 0 ? concurrency : host.cores
  return {
    ...written,
    config,
    workers: written.workers === 'auto' ? automatic : written.workers,
    state: written.state === null ? stateFolder(config, host) : resolve(host.cwd, written.state),
    kubernetes: written.kubernetes === 'auto' ? host.env['KUBERNETES_SERVICE_HOST'] !== undefined : written.kubernetes,
    bindsLowPorts: host.root,
  }
}

/** A folder of its own for each set of `config` paths, so that two gateways on one machine do not share state. */
function stateFolder(config: readonly string[], { env, home, cwd }: Omit<LoadHost, 'readFile'>): string {
  const base = env['XDG_STATE_HOME'] ?? join(home, '.local', 'state')
  const paths = config.map((path) => resolve(cwd, path)).sort()
  return join(base, 'sluice', createHash('sha256').update(paths.join('\n')).digest('hex').slice(0, 16))
}

function flagOverrides(values: LoadFlags['values']): readonly (readonly [string, Override])[] {
  const names = new Map(leaves().map(({ path, field }) => [path.join('.'), field.setting.flag?.split(' ')[0]]))
  return Object.entries(values).map(([path, text]) => {
    return [path, { text, given: { kind: 'flag', name: names.get(path) ?? path } }] as const
  })
}

/** `--settings`, the variable, or `sluice.yaml` in the first config folder. Only a file that was asked for must exist. */
function readSettingsFile(
  flags: LoadFlags,
  config: Override | undefined,
  host: LoadHost,
): { readonly file: string | undefined; readonly text: string } {
  const asked = flags.settings ?? host.env[SETTINGS_VARIABLE]
  const paths = typeof config?.text === 'string' ? config.text.split(',') : config?.text
  const first = paths?.[0] ?? './config'
  const file = asked ?? join(first, SETTINGS_FILE)
  let text: string | undefined
  let reason = 'there is no such file.'
  try {
    text = host.readFile(resolve(host.cwd, file))
  } catch (error) {
    reason = `cannot be read: ${(error as Error).message}.`
    if (asked === undefined) throw new SettingsError([wholeFile(file, reason)])
  }
  if (text === undefined && asked !== undefined) throw new SettingsError([wholeFile(file, reason)])
  return text === undefined ? { file: undefined, text: '' } : { file, text }
}

function parse(text: string, file: string | undefined): unknown {
  if (text.trim() === '') return null
  try {
    return parseYaml(text)
  } catch (error) {
    const { reason, mark } = error as { reason?: string; mark?: { line?: number } }
    const line = mark?.line === undefined ? {} : { line: mark.line + 1 }
    const given = { kind: 'file', file: file ?? SETTINGS_FILE, ...line } as const
    const message = `is not YAML: ${reason ?? (error as Error).message}.`
    throw new SettingsError([{ severity: 'error', given, path: '', message }])
  }
}

/** Gives issues of the file their lines; the file is read with positions only when there is one. */
async function address(issues: readonly Pending[], file: string, text: string): Promise<readonly SettingsIssue[]> {
  const located = issues.filter(({ given }) => given.kind === 'file')
  const lineOf = located.length === 0 ? () => undefined : await linesOf(text)
  return issues.map(({ at, given, ...issue }): SettingsIssue => {
    if (given.kind !== 'file') return { ...issue, given }
    const line = lineOf(at)
    return { ...issue, given: { kind: 'file', file, ...(line === undefined ? {} : { line }) } }
  })
}

function wholeFile(file: string, message: string): SettingsIssue {
  return { severity: 'error', given: { kind: 'file', file }, path: '', message }
}
