/** Reads `metadata`. What Kubernetes keeps there for itself (`managedFields`, `uid` and so on) is left behind. */
import { isDNSLabel } from '../lib/names.ts'
import type { Problem } from '../plan/problem.ts'
import { createFindings, type Findings, pointerToken } from './findings.ts'
import type { KindEntry } from './registry.ts'
import type { Metadata } from './resource.ts'
import { shorten } from './rules.ts'
import { isObject } from './schema-check.ts'

/** Istio's webhook refuses objects with the first; the second is Istio's own, between its parts. */
const ALWAYS_REJECT = 'internal.istio.io/webhook-always-reject'
const PARENTS = 'internal.istio.io/parents'
const DRY_RUN = 'istio.io/dry-run'

/** RFC 1123 subdomain, as Kubernetes names objects. */
const NAME = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/
const MAX_NAME = 253

export interface ParsedMetadata {
  /** Absent where the object has no name that could tell it from others. */
  readonly metadata?: Metadata
  readonly problems: readonly Problem[]
}

export function parseMetadata(entry: KindEntry, value: unknown): ParsedMetadata {
  const raw = isObject(value) ? value : {}
  const namespace = entry.namespaced ? (raw['namespace'] ?? 'default') : ''
  const name = raw['name']
  const findings = createFindings({
    kind: entry.kind,
    metadata: {
      namespace: typeof namespace === 'string' ? shorten(namespace) : '',
      name: typeof name === 'string' ? shorten(name) : '',
    },
  })
  checkName(findings, value, name)
  if (typeof namespace !== 'string' || (entry.namespaced && !isDNSLabel(namespace))) {
    findings.error('metadata/namespace', '/metadata/namespace', `${quote(namespace)} is not the name of a namespace`)
  }
  if (findings.problems.length > 0 || typeof name !== 'string' || typeof namespace !== 'string') {
    return { problems: findings.problems }
  }
  const annotations = texts(findings, '/metadata/annotations', raw['annotations'])
  const created = raw['creationTimestamp']
  const metadata: Metadata = {
    name,
    namespace,
    labels: texts(findings, '/metadata/labels', raw['labels']),
    annotations,
    ...(typeof created === 'string' && created !== '' ? { creationTimestamp: created } : {}),
    ...(created instanceof Date ? { creationTimestamp: created.toISOString() } : {}),
  }
  checkAnnotations(findings, entry, annotations)
  return { metadata, problems: findings.problems }
}

function checkName(findings: Findings, metadata: unknown, name: unknown): void {
  if (!isObject(metadata)) findings.error('schema/required', '', '"metadata" with a "name" is missing')
  else if (name === undefined || name === null || name === '') {
    findings.error('schema/required', '/metadata', '"name" is missing')
  } else if (typeof name !== 'string') {
    findings.error('schema/type', '/metadata/name', `expected a text, found ${quote(name)}`, {
      remedy: typeof name === 'number' ? `Put it in quotes: "${name}".` : undefined,
    })
  } else if (name.length > MAX_NAME || !NAME.test(name)) {
    findings.error(
      'metadata/name',
      '/metadata/name',
      `${quote(name)} is not a name: lower-case letters, digits, "-" and "." make one`,
    )
  }
}

/** A map of text to text; wrong entries are reported and left out. */
function texts(findings: Findings, at: string, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined || value === null) return {}
  if (!isObject(value)) {
    findings.error('schema/type', at, 'expected fields ("name: value")')
    return {}
  }
  const result: Record<string, string> = {}
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === 'string' && key !== '__proto__') result[key] = text
    else if (text !== null) {
      const scalar = typeof text === 'number' || typeof text === 'boolean'
      findings.error(
        'schema/type',
        `${at}/${pointerToken(key)}`,
        `expected a text, found ${scalar ? String(text) : 'something else'}`,
        {
          remedy: scalar ? `Put it in quotes: "${text}".` : undefined,
        },
      )
    }
  }
  return result
}

function checkAnnotations(findings: Findings, entry: KindEntry, annotations: Readonly<Record<string, string>>): void {
  const at = (name: string) => `/metadata/annotations/${pointerToken(name)}`
  if (annotations[ALWAYS_REJECT] !== undefined) {
    findings.error(
      'metadata/annotation',
      at(ALWAYS_REJECT),
      `the annotation ${ALWAYS_REJECT} asks for this to be refused`,
    )
  }
  if (annotations[PARENTS] !== undefined) {
    findings.error('metadata/annotation', at(PARENTS), `the annotation ${PARENTS} is not for users`)
  }
  const dryRun = annotations[DRY_RUN]
  if (dryRun === undefined) return
  if (entry.kind !== 'AuthorizationPolicy') {
    findings.error('metadata/annotation', at(DRY_RUN), `${DRY_RUN} is for AuthorizationPolicies alone`)
  } else if (dryRun !== 'true' && dryRun !== 'false') {
    findings.error('metadata/annotation', at(DRY_RUN), `expected "true" or "false", found ${quote(dryRun)}`)
  }
}

function quote(value: unknown): string {
  if (typeof value === 'string') return `"${shorten(value)}"`
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'something else'
}
