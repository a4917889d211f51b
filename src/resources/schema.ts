/**
 * The pieces that the schemas of the kinds are made of. A schema is TypeBox (so the static type follows from it) and
 * is closed: a field that it does not name is unknown. `title` says in users' words what a value should be; it ends
 * the sentence "expected …".
 */
import { Type, type TEnum, type TProperties, type TSchema } from 'typebox'

/** The same type with every property and list in it read-only: nothing changes an object after it was read. */
export type Frozen<T> = T extends readonly (infer Item)[]
  ? readonly Frozen<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Frozen<T[Key]> }
    : T

export const optional = Type.Optional

/** An object that has no other fields than these. */
export function fields<Properties extends TProperties>(properties: Properties) {
  return Type.Object(properties, { additionalProperties: false })
}

export function list<Item extends TSchema>(item: Item) {
  return Type.Array(item)
}

/**
 * Names and values of the user's choice. `__proto__` is not among the names: code that builds objects from them would
 * change their prototype.
 */
export function map<Value extends TSchema>(value: Value) {
  return Type.Record(Type.String({ pattern: '^(?!__proto__$)[^]*$' }), value, { additionalProperties: false })
}

/** One of these words. */
export function word<const Words extends readonly string[]>(words: Words): TEnum<[...Words]> {
  return Type.Enum(words) as unknown as TEnum<[...Words]>
}

export const text = Type.String()
export const flag = Type.Boolean()
export const anything = Type.Unknown()
export const number = Type.Number()
/** protobuf `uint32`. */
export const count = Type.Integer({ minimum: 0, maximum: 4294967295 })
/** protobuf `int32`; rules about its sign are each kind's own. */
export const integer = Type.Integer({ minimum: -2147483648, maximum: 2147483647 })
/** protobuf `uint64` in the range that JSON numbers hold exactly. */
export const big = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

/** How protobuf's JSON form and Go write a duration. Its reading is `lib/duration.ts`. */
export const duration = Type.String({
  title: 'a duration such as "1.5s", "250ms" or "1h30m"',
  pattern: '^-?(?:0|(?:(?:[0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(?:ns|us|µs|ms|s|m|h))+)$',
})

export const labels = map(text)
export const texts = list(text)

/** Kubernetes' `IntOrString`. */
export const integerOrText = Type.Union([Type.Integer(), Type.String()], { title: 'a number or a name' })

export const WorkloadSelectorSchema = fields({ labels: optional(labels) })

/** istio/api type/v1beta1/selector.proto, `WorkloadSelector`. */
export const PolicySelectorSchema = fields({ matchLabels: optional(labels) })

/** istio/api type/v1beta1/selector.proto, `PolicyTargetReference`. */
export const PolicyTargetReferenceSchema = fields({
  group: optional(text),
  kind: text,
  name: text,
  namespace: optional(text),
})
