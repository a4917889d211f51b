/**
 * From an object that somebody wrote to a resource that nothing has to check again, or to what is wrong with it. No
 * value makes it throw.
 */
import { Compile } from 'typebox/compile'
import { isDNSLabel, isFQDN } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { readEnvoyFilter } from './envoy-filter.ts'
import { createFindings, type Findings } from './findings.ts'
import { parseMetadata } from './metadata.ts'
import { type KindEntry, lookUpKind } from './registry.ts'
import { type Metadata, type ResourceKey, resourceKey } from './resource.ts'
import { shorten } from './rules.ts'
import { checkSchema, isObject } from './schema-check.ts'
import type { AnyResource, Kind } from './snapshot.ts'

export interface ParseResult {
  /** Absent where the object has an error, or is none that this gateway serves. */
  readonly resource?: AnyResource
  /** Which object this is, as soon as that could be read; also where the object is refused. */
  readonly identity?: ObjectIdentity
  readonly problems: readonly Problem[]
}

export interface ObjectIdentity {
  readonly kind: Kind
  readonly metadata: Metadata
  readonly key: ResourceKey
  /** `spec.selector.matchLabels` where those are labels: whom a refused policy was for. */
  readonly matchLabels?: Readonly<Record<string, string>>
}

/**
 * Reads one object.
 *
 * @param value What YAML or JSON gave. It is not changed, and becomes part of the resource: do not change it either.
 * @returns The resource where no problem is an error.
 */
export function parseObject(value: unknown): ParseResult {
  if (!isObject(value)) return withoutIdentity('', 'schema/type', 'expected an object with apiVersion and kind')
  const { apiVersion, kind } = value
  if (typeof kind !== 'string' || kind === '') return withoutIdentity('', 'schema/required', '"kind" is missing')
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    return withoutIdentity(kind, 'schema/required', '"apiVersion" is missing', nameOf(value))
  }
  const lookup = lookUpKind(apiVersion, kind)
  switch (lookup.status) {
    case 'served':
      return parseServed(value, apiVersion, lookup.entry)
    case 'ignored':
      return { problems: [] }
    case 'without-effect': {
      const findings = createFindings({ kind, metadata: nameOf(value) })
      const { policy, notes } = kind === 'EnvoyFilter' ? readEnvoyFilter(value) : { policy: null, notes: [] }
      const remedies = [
        ...(policy === null
          ? ['This gateway is not Envoy; it reads the other kinds of Istio.']
          : [`Its local rate limit is this RateLimitPolicy: ${JSON.stringify(policy)}`]),
        ...notes.map((note) => `Note: ${note}.`),
      ]
      findings.warning('kind/no-effect', '', `${kind} has no effect here`, { remedy: remedies.join(' ') })
      return { problems: findings.problems }
    }
    case 'unknown-version':
      return withoutIdentity(kind, 'kind/unknown', `${kind} has no version "${shorten(apiVersion)}"`, nameOf(value), {
        pointer: '/apiVersion',
        remedy: `Write ${[lookup.group, lookup.versions[0]].filter((part) => part !== '').join('/')}.`,
      })
    case 'unknown-kind':
      return withoutIdentity(
        kind,
        'kind/unknown',
        `there is no kind "${shorten(kind)}" in ${shorten(apiVersion)}`,
        nameOf(value),
        { pointer: '/kind', ...(lookup.suggestion === undefined ? {} : { remedy: lookup.suggestion }) },
      )
    default:
      return lookup satisfies never
  }
}

function parseServed(value: Record<string, unknown>, apiVersion: string, entry: KindEntry): ParseResult {
  const { metadata, problems: metadataProblems } = parseMetadata(entry, value['metadata'])
  if (metadata === undefined) return { problems: metadataProblems }
  const findings = createFindings({ kind: entry.kind, metadata })
  const body = bodyOf(value, entry, findings)
  const identity = identify(entry, metadata, body)
  const spec = checkBody(entry, body, findings)
  const refused = () => [...metadataProblems, ...findings.problems].some(({ severity }) => severity === 'error')
  if (refused()) return { identity, problems: [...metadataProblems, ...findings.problems] }
  const resource = { apiVersion, kind: entry.kind, metadata, spec } as AnyResource
  const problems = [...metadataProblems, ...findings.problems, ...entry.validate(resource as never)]
  const bad = problems.some(({ severity }) => severity === 'error')
  return { ...(bad ? {} : { resource }), identity, problems }
}

/** What the kind's schema describes; beside it, only the envelope's own fields may stand. */
function bodyOf(value: Record<string, unknown>, entry: KindEntry, findings: Findings): unknown {
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, status: _status, ...rest } = value
  if (entry.body === 'root') return rest
  for (const field of Object.keys(rest)) {
    if (field === 'spec') continue
    findings.warning(
      'schema/unknown-field',
      `/${field}`,
      `there is no field "${shorten(field)}" beside "spec"; it has no effect`,
      {
        remedy: Object.hasOwn(fieldsOf(entry), field) ? 'Indent it under "spec:".' : undefined,
      },
    )
  }
  return rest['spec'] ?? {}
}

function fieldsOf(entry: KindEntry): Record<string, unknown> {
  return (entry.schema as { properties?: Record<string, unknown> }).properties ?? {}
}

function checkBody(entry: KindEntry, body: unknown, findings: Findings): unknown {
  const accepts = compiledCheck(entry)
  if (accepts(body)) return entry.normalise === undefined ? body : entry.normalise(body as never)
  const pointer = entry.body === 'spec' ? '/spec' : ''
  const before = findings.problems.length
  const clean = checkSchema(entry.schema, body, pointer, { findings, redact: entry.kind === 'Secret' })
  if (findings.problems.slice(before).some(({ severity }) => severity === 'error')) return undefined
  if (!accepts(clean)) {
    // The two checks read the same schema; should they ever disagree, the stricter one is right.
    findings.error('schema/type', pointer, 'the object does not fit its schema')
    return undefined
  }
  return entry.normalise === undefined ? clean : entry.normalise(clean as never)
}

/**
 * A schema's compiled check. Compiling takes milliseconds and most processes meet few kinds, so it happens at a kind's
 * first object; the result depends on the schema alone and there is one for each kind at most.
 */
const compiledChecks = new Map<Kind, (value: unknown) => boolean>()

function compiledCheck(entry: KindEntry): (value: unknown) => boolean {
  const known = compiledChecks.get(entry.kind)
  if (known !== undefined) return known
  const validator = Compile(entry.schema)
  const check = (value: unknown) => validator.Check(value)
  compiledChecks.set(entry.kind, check)
  return check
}

function identify(entry: KindEntry, metadata: Metadata, body: unknown): ObjectIdentity {
  const { kind } = entry
  const selector = isObject(body) ? body['selector'] : undefined
  const labels = isObject(selector) ? selector['matchLabels'] : undefined
  const readable = isObject(labels) && Object.values(labels).every((label) => typeof label === 'string')
  return {
    kind,
    metadata,
    key: resourceKey(kind, metadata.namespace, metadata.name),
    ...(readable ? { matchLabels: labels as Record<string, string> } : {}),
  }
}

/** As much of a name as there is, for a message about an object that is no resource. */
function nameOf(value: Record<string, unknown>): { namespace: string; name: string } {
  const metadata = isObject(value['metadata']) ? value['metadata'] : {}
  const [name, namespace] = [metadata['name'], metadata['namespace']]
  return {
    namespace: typeof namespace === 'string' && isDNSLabel(namespace) ? namespace : 'default',
    name: typeof name === 'string' && isFQDN(name) ? name : '',
  }
}

function withoutIdentity(
  kind: string,
  code: string,
  message: string,
  metadata: { namespace: string; name: string } = { namespace: '', name: '' },
  more: { pointer?: string; remedy?: string } = {},
): ParseResult {
  const findings = createFindings({ kind: shorten(kind), metadata })
  const { pointer = '', remedy } = more
  findings.error(code, pointer, message, remedy === undefined ? {} : { remedy })
  return { problems: findings.problems }
}
