/** The reference page of the settings (docs/settings.md), written from the schema: `node src/settings/reference.ts`. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { variableOf } from './environment.ts'
import { type Field, type Group, type GroupMap, code } from './fields.ts'
import { isGroup, isGroupMap } from './read.ts'
import { settingsSchema } from './schema.ts'

const INTRODUCTION = `# Settings

<!-- Written by src/settings/reference.ts from the schema in src/settings/. Change it there. -->

Everything that is not a resource. Each setting can be given in three places; the first that gives it wins, setting by
setting:

1. a flag of \`sluice run\`, where the table names one,
2. an environment variable; where two are named, the one with \`SLUICE_\` wins,
3. \`sluice.yaml\`: the file that \`--settings\` (or \`SLUICE_SETTINGS\`) names, else \`sluice.yaml\` in the first
   \`--config\` folder, if it is there,

and otherwise the default holds. A mistake ends the start with exit code 2 and a line such as
\`config/sluice.yaml:3: error: workrs: there is no such setting. Did you mean "workers"?\`. Inside \`mesh:\` a name that
nobody knows is only a warning, because a newer Istio may know it.

- A duration is written \`250ms\`, \`1.5s\`, \`1h30m\`; a bare number is refused. Where \`off\` is allowed, \`0s\` means the same.
- In a variable a list is separated by commas, labels are \`k=v,…\`, a switch is \`true\` or \`false\`.
- Settings are read once, at the start. After a change of \`sluice.yaml\` start the gateway anew; resources are followed
  while it runs.
- **No effect yet**: read and accepted, but nothing in this version acts on it; the log says so once at the start.

An example:

\`\`\`yaml
workers: 2
downstream:
  headersTimeout: 10s
mesh:
  accessLogFile: /dev/stdout
  accessLogEncoding: JSON
  defaultConfig:
    gatewayTopology: { numTrustedProxies: 1 }
\`\`\`
`

/** The whole page. */
export function settingsReference(): string {
  const parts = [INTRODUCTION]
  section(parts, settingsSchema as unknown as AnyGroup, [])
  return parts.join('\n')
}

type AnyGroup = Group<Record<string, never>>

type AnyNode = AnyGroup | GroupMap<Record<string, never>> | Field<unknown>

/**
 * One table for the fields of a level, then a section for each level below it.
 *
 * @param named The level is below a name that the user chooses: only the file can hold it.
 */
function section(parts: string[], { properties, group }: AnyGroup, path: readonly string[], named = false): void {
  if (path.length > 0) parts.push(`## \`${path.join('.')}\`\n\n${group.description}\n`)
  const entries = Object.entries(properties) as [string, AnyNode][]
  const rows = entries.flatMap(([key, node]) => {
    if (isGroupMap(node)) return []
    return isGroup(node) ? smallGroup(node, [...path, key], named) : [row(node, [...path, key], key, named)]
  })
  if (rows.length > 0) {
    parts.push(['| setting | default | meaning | also as |', '| --- | --- | --- | --- |', ...rows, ''].join('\n'))
  }
  if (group.unused.length > 0) {
    parts.push(
      `Known to Istio and of no use to this gateway, so accepted with a warning: ${group.unused.map(code).join(', ')}.\n`,
    )
  }
  for (const [key, node] of entries) {
    const below = [...path, key]
    if (isGroupMap(node)) section(parts, node.groupMap.level, [...below, node.groupMap.placeholder], true)
    else if (isGroup(node) && !isSmall(node, below)) section(parts, node, below, named)
  }
}

/** A level with few fields, deep down, reads better as rows of the level above. */
function isSmall({ properties }: AnyGroup, path: readonly string[]): boolean {
  const fields = Object.values(properties)
  return path.length > 1 && fields.length <= 2 && !fields.some(isGroup)
}

function smallGroup(node: AnyGroup, path: readonly string[], named: boolean): readonly string[] {
  if (!isSmall(node, path)) return []
  const name = path.at(-1) ?? ''
  return Object.entries(node.properties).map(([key, child]) => {
    return row(child as Field<unknown>, [...path, key], `${name}.${key}`, named, node.group.description)
  })
}

function row({ setting }: Field<unknown>, path: readonly string[], name: string, named: boolean, context = ''): string {
  const notes = [...(setting.served ? [] : ['**No effect yet.**']), ...(setting.secret ? ['Never printed.'] : [])]
  const variable = named ? undefined : variableOf({ path, field: { setting } as Field<unknown> })
  const given = [setting.flag, variable, setting.istioEnv].filter((way) => way !== undefined).map(code)
  const takes = setting.expected === 'text' ? '' : `Takes ${setting.expected}.`
  const meaning = [context, setting.description, takes, ...notes].filter((part) => part !== '').join(' ')
  const cells = [code(name), setting.defaultText, meaning, given.join(', ')]
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

/** The page as it is kept: formatted like every other file. */
export async function formattedReference(): Promise<string> {
  const { format, resolveConfig } = await import('prettier')
  const options = await resolveConfig(join(import.meta.dirname, 'reference.ts'))
  return format(settingsReference(), { ...options, parser: 'markdown' })
}

if (import.meta.main) {
  writeFileSync(join(import.meta.dirname, '..', '..', 'docs', 'settings.md'), await formattedReference())
}
