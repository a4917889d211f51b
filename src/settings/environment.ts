/**
 * Settings as environment variables: `SLUICE_` and the path in capitals, for example `SLUICE_DOWNSTREAM_IDLE_TIMEOUT`;
 * some also by the name that Istio's agent has for them.
 */
import { nearest } from '../lib/nearest.ts'
import type { SettingsIssue } from './issue.ts'
import { type Leaf, type Override, leaves } from './read.ts'

export const ENVIRONMENT_PREFIX = 'SLUICE_'

/** The variable of the settings file itself, which is no setting. */
export const SETTINGS_VARIABLE = 'SLUICE_SETTINGS'

/** Kubernetes gives every pod such variables for each Service; one called `sluice` must not look like settings. */
const KUBERNETES_SERVICE = /_SERVICE_(?:HOST|PORT)(?:_|$)|_PORT(?:$|_[0-9]+_(?:TCP|UDP|SCTP)(?:$|_))/

/** The variable of one setting; undefined where only the file can hold it. */
export function variableOf({ path, field }: Leaf): string | undefined {
  if (field.setting.fileOnly) return undefined
  return field.setting.env ?? ENVIRONMENT_PREFIX + path.map(capitals).join('_')
}

/** Reads what is set. An empty variable counts as not set. A variable that no setting has is a warning. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): {
  readonly overrides: ReadonlyMap<string, Override>
  readonly issues: readonly SettingsIssue[]
} {
  const paths = new Map<string, string>()
  const overrides = new Map<string, Override>()
  for (const leaf of leaves()) {
    const path = leaf.path.join('.')
    const name = variableOf(leaf)
    if (name !== undefined) paths.set(name, path)
    const { istioEnv } = leaf.field.setting
    const text = istioEnv === undefined ? undefined : env[istioEnv]
    if (istioEnv !== undefined && text !== undefined && text !== '') {
      overrides.set(path, { text, given: { kind: 'environment', name: istioEnv } })
    }
  }
  const issues: SettingsIssue[] = []
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(ENVIRONMENT_PREFIX) || text === undefined || text === '' || name === SETTINGS_VARIABLE)
      continue
    const given = { kind: 'environment', name } as const
    const path = paths.get(name)
    if (path !== undefined) {
      overrides.set(path, { text, given })
    } else if (!KUBERNETES_SERVICE.test(name)) {
      const near = nearest(name, [...paths.keys(), SETTINGS_VARIABLE])
      const hint = near === undefined ? {} : { remedy: `Did you mean ${near}?` }
      issues.push({ severity: 'warning', given, path: '', message: 'there is no such setting.', ...hint })
    }
  }
  return { overrides, issues }
}

/** `accessLogFile` → `ACCESS_LOG_FILE`, `meshMTLS` → `MESH_MTLS`, `http10` → `HTTP10`. */
function capitals(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()
}
