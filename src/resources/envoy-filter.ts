/**
 * EnvoyFilters have no effect here. What Istio's users most often write them for is the local rate limit, which a
 * RateLimitPolicy says in a few lines: those are recognised, so that `analyze` can print the policy.
 *
 * Source: envoy: extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto; semantics §10.3.
 */
import { isObject } from './schema-check.ts'

/** What an EnvoyFilter's patches come to. */
export interface EnvoyFilterReading {
  /** The RateLimitPolicy that takes its place; null: there is none in it that can be told. */
  readonly policy: Readonly<Record<string, unknown>> | null
  /** What the policy does not say, or says in another way. */
  readonly notes: readonly string[]
}

interface Rule {
  readonly [field: string]: unknown
}

/** Deeper than any patch is written. */
const DEEPEST = 30

/** @param value The object as it was read; its metadata may be anything. */
export function readEnvoyFilter(value: Readonly<Record<string, unknown>>): EnvoyFilterReading {
  const patches = listOf(field(value, 'spec', 'configPatches')).filter(isObject)
  const notes = new Set<string>()
  const actions = patches.flatMap((patch) => findAll(patch, ['rate_limits', 'rateLimits']))
  const rules = patches.flatMap((patch) => rulesOf(patch, actions, notes))
  if (patches.some((patch) => isGlobal(patch))) {
    notes.add('it also asks a rate limit service: write rules with "scope: global" for the descriptors of that')
  }
  if (rules.length === 0) return { policy: null, notes: [...notes] }
  const { name, namespace } = isObject(value['metadata']) ? value['metadata'] : {}
  const policy = {
    apiVersion: 'sluice.dev/v1alpha1',
    kind: 'RateLimitPolicy',
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    spec: { defaults: { scope: 'local' }, rules: rules.map((rule, index) => ({ name: `rule-${index}`, ...rule })) },
  }
  return { policy, notes: [...notes] }
}

function isGlobal(patch: unknown): boolean {
  return findAll(patch, ['@type', 'type_url', 'typeUrl']).some((type) =>
    textOf(type).endsWith('.ratelimit.v3.RateLimit'),
  )
}

function rulesOf(patch: Record<string, unknown>, actions: readonly unknown[], notes: Set<string>): Rule[] {
  const configs = findHolders(patch, ['token_bucket', 'tokenBucket']).filter(
    (holder) => holder['entries'] === undefined,
  )
  return configs.flatMap((config) => {
    const common = { ...matchOf(patch, notes), ...replyOf(config), ...trialOf(config, notes) }
    const descriptors = listOf(config['descriptors']).filter(isObject)
    const own = descriptors.flatMap((descriptor): Rule[] => {
      const limit = limitOf(descriptor, notes)
      const selection = selectionOf(listOf(descriptor['entries']), actions, notes)
      return limit === null || selection === null ? [] : [merge({ ...common, limit }, selection)]
    })
    const limit = limitOf(config, notes)
    return limit === null ? own : [...own, { ...common, limit }]
  })
}

/** Which requests the patch is for: all, or those of a virtual host. */
function matchOf(patch: Record<string, unknown>, notes: Set<string>): Rule {
  const virtualHost = field(patch, 'match', 'routeConfiguration', 'vhost')
  if (!isObject(virtualHost)) return {}
  const { name, route } = virtualHost
  if (isObject(route) && route['name'] !== undefined) {
    notes.add(`it is for the route "${textOf(route['name'])}": name its VirtualService and the route in targetRefs`)
  }
  if (typeof name !== 'string' || name === '' || name.startsWith('*')) return {}
  const [host = '', port] = name.split(/:(?=\d+$)/)
  return { match: [{ authority: { prefix: host }, ...(port === undefined ? {} : { port: Number(port) }) }] }
}

function replyOf(config: Record<string, unknown>): Rule {
  const code = field(config, 'status', 'code')
  const status = code === 'ServiceUnavailable' ? 503 : Number(code)
  return status >= 400 && status <= 599 && status !== 429 ? { status } : {}
}

/** Without both shares the filter does nothing; with the second at 0 it only counts. */
function trialOf(config: Record<string, unknown>, notes: Set<string>): Rule {
  const share = (snake: string, camel: string) => {
    const fraction = config[snake] ?? config[camel]
    if (fraction === undefined) return 0
    const value = field(fraction, 'default_value') ?? field(fraction, 'defaultValue')
    return Number(field(value, 'numerator') ?? 0)
  }
  const [enabled, enforced] = [share('filter_enabled', 'filterEnabled'), share('filter_enforced', 'filterEnforced')]
  if (enabled === 0) notes.add('without filter_enabled the filter does nothing in Istio')
  if (enforced > 0 && enforced < 100) notes.add('a part of the requests cannot be limited: all are')
  return enforced === 0 || enabled === 0 ? { shadow: true } : {}
}

function limitOf(holder: Record<string, unknown>, notes: Set<string>): Rule | null {
  const bucket = holder['token_bucket'] ?? holder['tokenBucket']
  if (!isObject(bucket)) return null
  const most = Number(bucket['max_tokens'] ?? bucket['maxTokens'])
  const fill = Number(bucket['tokens_per_fill'] ?? bucket['tokensPerFill'] ?? 1)
  const per = bucket['fill_interval'] ?? bucket['fillInterval']
  if (!(most >= 1) || !(fill >= 1) || typeof per !== 'string') return null
  if (most > fill) {
    notes.add('a bucket that holds more than one filling gives the rest once; "burst" gives it in each window')
  }
  const requests = Math.min(most, fill)
  return { requests, per, ...(most > requests ? { burst: most - requests } : {}) }
}

/** What the entries of a descriptor ask of a request, by the actions that make them. */
function selectionOf(entries: readonly unknown[], actions: readonly unknown[], notes: Set<string>): Rule | null {
  const all = actions.flatMap((limit) => (isObject(limit) ? listOf(limit['actions']) : [])).filter(isObject)
  const key: Rule[] = []
  const headers: Record<string, { exact: string }> = {}
  const match: Record<string, unknown> = {}
  for (const entry of entries.filter(isObject)) {
    const name = textOf(entry['key'])
    const value = typeof entry['value'] === 'string' && entry['value'] !== '' ? entry['value'] : null
    const header = all
      .map((action) => action['request_headers'] ?? action['requestHeaders'])
      .find((one) => (field(one, 'descriptor_key') ?? field(one, 'descriptorKey')) === name)
    const headerName = field(header, 'header_name') ?? field(header, 'headerName')
    if (name === 'remote_address' && value === null) key.push({ clientIP: {} })
    else if (headerName === ':path' && value !== null) match['uri'] = { exact: value }
    else if (headerName === ':path') key.push({ path: {} })
    else if (headerName === ':method' && value !== null) match['method'] = { exact: value }
    else if (headerName === ':authority' && value === null) key.push({ host: {} })
    else if (typeof headerName === 'string' && !headerName.startsWith(':')) {
      if (value === null) key.push({ header: headerName })
      else headers[headerName] = { exact: value }
    } else {
      notes.add(`the descriptor entry "${name}" has no counterpart here, so its limit is left out`)
      return null
    }
  }
  if (Object.keys(headers).length > 0) match['headers'] = headers
  return { ...(Object.keys(match).length > 0 ? { match: [match] } : {}), ...(key.length > 0 ? { key } : {}) }
}

/** A descriptor narrows what its filter is for. */
function merge(rule: Rule, selection: Rule): Rule {
  const [outer] = listOf(rule['match'])
  const [inner] = listOf(selection['match'])
  const match = isObject(outer) || isObject(inner) ? [{ ...(outer as object), ...(inner as object) }] : undefined
  return { ...rule, ...selection, ...(match === undefined ? {} : { match }) }
}

function field(value: unknown, ...path: readonly string[]): unknown {
  let inner = value
  for (const name of path) {
    if (!isObject(inner) || !Object.hasOwn(inner, name)) return undefined
    inner = inner[name]
  }
  return inner
}

/** Text and numbers as they are written; anything else is nothing. */
function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** Values of these names, however deep; of a list, its items. */
function findAll(value: unknown, names: readonly string[]): unknown[] {
  return findHolders(value, names).flatMap((holder) => names.flatMap((name) => holder[name] ?? []))
}

/** Objects that have one of these names, from the outside in. */
function findHolders(value: unknown, names: readonly string[], depth = 0): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return []
  const inner = Object.values(value).flatMap((each) => findHolders(each, names, depth + 1))
  return isObject(value) && names.some((name) => Object.hasOwn(value, name)) ? [value, ...inner] : inner
}
