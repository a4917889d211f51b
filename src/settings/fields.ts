/**
 * The pieces that the schema of `sluice.yaml` is made of. A field is TypeBox (so `Settings` follows from it) and also
 * carries what the reader, the reference page and the command line's help need: how text becomes a value, the default,
 * the unit and the range.
 */
import { type Static, type TObject, type TProperties, type TUnsafe, Type } from 'typebox'
import { type Reading, type ReadValue, fail, ok, readDuration, readList, readMap, readWhole } from './values.ts'

/** What is known about one setting beyond its type. */
export interface FieldFacts<T> {
  readonly read: ReadValue<T>
  readonly default: T
  /** The default as the reference page shows it. */
  readonly defaultText: string
  readonly description: string
  /** What a value looks like, to end the sentence "expected …". */
  readonly expected: string
  /** False: known to Istio and accepted, with a word in the log, but without effect in this version. */
  readonly served: boolean
  /** True: its value is never printed. */
  readonly secret: boolean
  /** True: an object, which only the file can hold. */
  readonly fileOnly: boolean
  /** The flag of `sluice run` for it, with its argument, for example `--admin [HOST:]PORT`. */
  readonly flag?: string
  /** The environment variable, where it is not the one that follows from the path. */
  readonly env?: string
  /** Istio's own variable for it, which counts where ours is not set. */
  readonly istioEnv?: string
}

/** One setting. */
export type Field<T> = TUnsafe<T> & { readonly setting: FieldFacts<T> }

/** A level of `sluice.yaml`. */
export type Group<Properties extends TProperties> = TObject<Properties> & { readonly group: GroupFacts }

export interface GroupFacts {
  readonly description: string
  /** Fields that Istio knows and this gateway has no use for: accepted, with a word in the log. */
  readonly unused: readonly string[]
  /** True, for all levels below too: a field that nobody knows is a warning, as a newer Istio may know it; else an error. */
  readonly tolerant: boolean
  /** The field that a plain value in place of the group is meant for. */
  readonly shorthand?: string
}

/** Levels of one shape, each under a name that the user chooses. Only the file can hold them. */
export type GroupMap<Properties extends TProperties> = TUnsafe<
  Readonly<Record<string, Static<TObject<Properties>>>>
> & { readonly groupMap: GroupMapFacts<Properties> }

export interface GroupMapFacts<Properties extends TProperties> {
  /** What stands for the name in the reference page, for example `NAME`. */
  readonly placeholder: string
  /** What a name looks like, to end the sentence "expected …". */
  readonly expected: string
  readonly isName: (name: string) => boolean
  readonly level: Group<Properties>
}

/** What every field may say about itself. */
export interface Options {
  readonly served?: boolean
  readonly flag?: string
  readonly env?: string
  readonly istioEnv?: string
}

export function group<Properties extends TProperties>(
  description: string,
  properties: Properties,
  facts: Partial<Omit<GroupFacts, 'description'>> = {},
): Group<Properties> {
  const own: GroupFacts = {
    description,
    unused: facts.unused ?? [],
    tolerant: facts.tolerant ?? false,
    ...(facts.shorthand === undefined ? {} : { shorthand: facts.shorthand }),
  }
  return Object.assign(Type.Object(properties, { additionalProperties: false, description }), { group: own })
}

/** Levels that all look like `level`, by names that `isName` accepts. */
export function groupMap<Properties extends TProperties>(
  level: Group<Properties>,
  facts: Omit<GroupMapFacts<Properties>, 'level'>,
): GroupMap<Properties> {
  const json = { type: 'object', additionalProperties: level, description: level.group.description }
  return Object.assign(Type.Unsafe<Readonly<Record<string, Static<TObject<Properties>>>>>(json), {
    groupMap: { ...facts, level },
  })
}

/** A field of any shape; the others below are made of it. */
export function field<T>(
  json: object,
  facts: Pick<FieldFacts<T>, 'read' | 'default' | 'defaultText' | 'description' | 'expected'> & {
    secret?: boolean
    fileOnly?: boolean
  },
  options: Options = {},
): Field<T> {
  const setting: FieldFacts<T> = {
    secret: false,
    fileOnly: false,
    ...facts,
    served: options.served ?? true,
    ...(options.flag === undefined ? {} : { flag: options.flag }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.istioEnv === undefined ? {} : { istioEnv: options.istioEnv }),
  }
  return Object.assign(Type.Unsafe<T>({ ...json, description: facts.description }), { setting })
}

export function text(description: string, fallback: string, options?: Options): Field<string> {
  const expected = 'text'
  return field(
    { type: 'string', default: fallback },
    { read: readText(expected), default: fallback, defaultText: code(fallback), description, expected },
    options,
  )
}

/** Text that may be absent. */
export function optionalText(description: string, absent: string, options?: Options): Field<string | null> {
  const expected = 'text'
  return field<string | null>(
    { type: 'string' },
    { read: readText(expected), default: null, defaultText: absent, description, expected },
    options,
  )
}

export function flag(description: string, fallback: boolean, options?: Options): Field<boolean> {
  const expected = 'true or false'
  return field(
    { type: 'boolean', default: fallback },
    {
      read: (value, written) => {
        if (typeof value === 'boolean') return ok(value)
        if (written && (value === 'true' || value === '1' || value === '')) return ok(true)
        if (written && (value === 'false' || value === '0')) return ok(false)
        return fail(expected)
      },
      default: fallback,
      defaultText: code(String(fallback)),
      description,
      expected,
    },
    options,
  )
}

/** A whole number from `least` to `most`. */
export function whole(
  description: string,
  fallback: number,
  range: { readonly least: number; readonly most: number; readonly unit?: string },
  options?: Options,
): Field<number> {
  const unit = range.unit === undefined ? '' : ` ${range.unit}`
  const expected = `a whole number from ${range.least} to ${range.most}`
  return field(
    { type: 'integer', minimum: range.least, maximum: range.most, default: fallback },
    {
      read: readWhole(range.least, range.most, expected),
      default: fallback,
      defaultText: `${code(String(fallback))}${unit}`,
      description,
      expected: `${expected}${unit}`,
    },
    options,
  )
}

/** A whole number, or `off`, which is null. */
export function wholeOrOff(
  description: string,
  range: { readonly least: number; readonly most: number },
  options?: Options,
): Field<number | null> {
  const expected = `off, or a whole number from ${range.least} to ${range.most}`
  const read = readWhole(range.least, range.most, expected)
  return field<number | null>(
    { oneOf: [{ type: 'integer', minimum: range.least, maximum: range.most }, { const: 'off' }], default: 'off' },
    {
      read: (value, written) => (isOff(value) ? ok(null) : read(value, written)),
      default: null,
      defaultText: code('off'),
      description,
      expected,
    },
    options,
  )
}

/** Longest duration that a timer of Node takes: 2^31 - 1 ms, about 24.8 days. */
export const LONGEST_MS = 2_147_483_647

/** A length of time, written `1.5s`, `250ms` or `1h30m`; read into milliseconds. @param fallbackMs Milliseconds. */
export function duration(
  description: string,
  fallbackMs: number,
  fallback: string,
  least: { readonly ms: number; readonly text: string },
  options?: Options,
): Field<number> {
  const expected = `a duration of at least ${least.text}, such as "${fallback}"`
  return field(
    { type: 'string', default: fallback },
    {
      read: readDuration(least.ms, LONGEST_MS, expected),
      default: fallbackMs,
      defaultText: code(fallback),
      description,
      expected,
    },
    options,
  )
}

/** A length of time, or `off` (`0s` means the same, as in Istio); null is off. */
export function durationOrOff(
  description: string,
  fallback: { readonly ms: number | null; readonly text: string },
  options?: Options,
): Field<number | null> {
  const expected = 'off, or a duration such as "30s"'
  const read = readDuration(0, LONGEST_MS, expected)
  return field<number | null>(
    { type: 'string', default: fallback.text },
    {
      read: (value, written): Reading<number | null> => {
        if (isOff(value)) return ok(null)
        const reading = read(value, written)
        return reading.ok && reading.value === 0 ? ok(null) : reading
      },
      default: fallback.ms,
      defaultText: code(fallback.text),
      description,
      expected,
    },
    options,
  )
}

/** One of these words. */
export function choice<const Words extends readonly string[]>(
  description: string,
  words: Words,
  fallback: Words[number],
  options?: Options,
): Field<Words[number]> {
  const expected = `one of ${words.join(', ')}`
  return field<Words[number]>(
    { enum: [...words], default: fallback },
    {
      read: (value) => (words.includes(value as Words[number]) ? ok(value as Words[number]) : fail(expected)),
      default: fallback,
      defaultText: code(fallback),
      description,
      expected,
    },
    options,
  )
}

/** A list of texts; in a flag or a variable they are separated by commas. */
export function texts(description: string, fallback: readonly string[], options?: Options): Field<readonly string[]> {
  const expected = 'a list of texts'
  return field<readonly string[]>(
    { type: 'array', items: { type: 'string' }, default: fallback },
    {
      read: readList((item) => (typeof item === 'string' ? ok(item) : fail(expected)), expected),
      default: fallback,
      defaultText: code(`[${fallback.map((item) => JSON.stringify(item)).join(', ')}]`),
      description,
      expected,
    },
    options,
  )
}

/** A list of some of these words, each once; in a flag or a variable they are separated by commas. */
export function choices<const Words extends readonly string[]>(
  description: string,
  words: Words,
  fallback: readonly Words[number][],
  options?: Options,
): Field<readonly Words[number][]> {
  const expected = `a list of some of ${words.join(', ')}`
  const read = readList<Words[number]>(
    (item) => (words.includes(item as Words[number]) ? ok(item as Words[number]) : fail(expected)),
    expected,
  )
  return field<readonly Words[number][]>(
    { type: 'array', items: { enum: [...words] }, default: fallback },
    {
      read: (value, written) => {
        const reading = read(value, written)
        if (!reading.ok) return reading
        return reading.value.length > 0 && new Set(reading.value).size === reading.value.length
          ? reading
          : fail(expected)
      },
      default: fallback,
      defaultText: code(`[${fallback.join(', ')}]`),
      description,
      expected,
    },
    options,
  )
}

/** Names and texts; in a flag or a variable `k=v,…`. Null: none given. */
export function textMap(
  description: string,
  absent: string,
  options?: Options,
): Field<Readonly<Record<string, string>> | null> {
  const expected = 'names with a text each (in a flag: k=v,…)'
  return field<Readonly<Record<string, string>> | null>(
    { type: 'object', additionalProperties: { type: 'string' } },
    { read: readMap(expected), default: null, defaultText: absent, description, expected },
    options,
  )
}

/** A message of Istio's that is handed on as it is: the compiler, which knows it, checks it. Null: not set. */
export function message(description: string, options?: Options): Field<Readonly<Record<string, unknown>> | null> {
  const expected = 'an object'
  return field<Readonly<Record<string, unknown>> | null>(
    { type: 'object' },
    {
      read: (value) => (isRecord(value) ? ok(value) : fail(expected)),
      default: null,
      defaultText: 'not set',
      description,
      expected,
      fileOnly: true,
    },
    options,
  )
}

/** A list of Istio's messages, handed on as they are. */
export function messages(description: string, options?: Options): Field<readonly Readonly<Record<string, unknown>>[]> {
  const expected = 'a list of objects'
  return field<readonly Readonly<Record<string, unknown>>[]>(
    { type: 'array', items: { type: 'object' } },
    {
      read: (value) => (Array.isArray(value) && value.every(isRecord) ? ok(value) : fail(expected)),
      default: [],
      defaultText: code('[]'),
      description,
      expected,
      fileOnly: true,
    },
    options,
  )
}

export function code(value: string): string {
  return value === '' ? '`""`' : `\`${value}\``
}

/** YAML 1.1 writes `off` for false, and some tools still hand that over. */
export function isOff(value: unknown): boolean {
  return value === 'off' || value === false
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readText(expected: string): ReadValue<string> {
  return (value) => (typeof value === 'string' ? ok(value) : fail(expected))
}
