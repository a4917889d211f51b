import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { RateLimitPolicySpecSchema } from '../../../src/resources/rate-limit-policy.ts'

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly enum?: readonly string[]
}

const FILE = join(import.meta.dirname, '../../../config/crds/ratelimitpolicies.yaml')
const TEXT = readFileSync(FILE, 'utf8')
const { spec } = parse(TEXT, { merge: true }).spec.versions[0].schema.openAPIV3Schema.properties as { spec: Schema }

/** Paths of all fields, with the words that are allowed; what the definition leaves open is not looked into. */
function fieldsOf(schema: Schema, crd: Schema | undefined, path = ''): string[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = `${path}/${name}`
    const words = field.enum === undefined ? '' : ` ${field.enum.join(' ')}`
    const inner = crd?.properties?.[name]
    return [`${at}${words}`, ...(inner === undefined ? [] : fieldsOf(field, inner, at))]
  })
  return schema.items === undefined || crd?.items?.properties === undefined
    ? own
    : [...own, ...fieldsOf(schema.items, crd.items, path)]
}

test('the CustomResourceDefinition has the fields that the gateway reads, no more and no less', () => {
  const read = fieldsOf(RateLimitPolicySpecSchema as unknown as Schema, spec).toSorted()
  const defined = fieldsOf(spec, spec)
    .filter((path, index, all) => all.indexOf(path) === index)
    // The name is a rule's own and has no default.
    .filter((path) => path !== '/defaults/name')
    .toSorted()
  assert.ok(read.length > 50)
  assert.deepEqual(defined, read)
})
