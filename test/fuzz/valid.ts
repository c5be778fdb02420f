import fc from 'fast-check'
import type { Schema } from './operations.ts'

/** Values by the name of their property, where the schema alone would hardly ever hit one that means something. */
export type Hints = Readonly<Record<string, fc.Arbitrary<unknown>>>

const MOST_ITEMS = 8
const MOST_LETTERS = 300
const instant = fc.date({ min: new Date('2020-01-01T00:00:00Z'), max: new Date('2035-01-01T00:00:00Z'), noInvalidDate: true }).map((date) => date.toISOString())

/** Values that the schema takes, those at its borders among them. */
export function valid(schema: Schema, hints: Hints, name = ''): fc.Arbitrary<unknown> {
  const bySchema = fromSchema(schema, hints, name)
  const hint = hints[name]
  return hint && schema.type !== 'object' && schema.type !== 'array' ? fc.oneof({ weight: 9, arbitrary: hint }, { weight: 1, arbitrary: bySchema }) : bySchema
}

function fromSchema(schema: Schema, hints: Hints, name: string): fc.Arbitrary<unknown> {
  if (schema.enum) return fc.constantFrom(...schema.enum)
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.anyOf) return fc.oneof(...schema.anyOf.map((one) => valid(one, hints, name)))
  switch (schema.type) {
    case 'object':
      return object(schema, hints)
    case 'array':
      return fc.array(valid(schema.items ?? {}, hints, name), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? MOST_ITEMS, MOST_ITEMS),
      })
    case 'string':
      return text(schema)
    case 'integer':
    case 'number':
      return number(schema)
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    default:
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function object(schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], patternProperties = {} } = schema
  const own = fc.record(Object.fromEntries(Object.entries(properties).map(([name, of]) => [name, valid(of, hints, name)])), { requiredKeys: [...required] })
  const [pattern, of] = Object.entries(patternProperties)[0] ?? []
  if (pattern === undefined || of === undefined) return own
  const free = fc.dictionary(fc.stringMatching(new RegExp(pattern)), valid(of, hints), { maxKeys: 4 })
  return fc.tuple(own, free).map(([a, b]) => ({ ...b, ...a }))
}

function text({ pattern, format, minLength = 0, maxLength = MOST_LETTERS }: Schema): fc.Arbitrary<string> {
  if (format === 'date-time') return instant
  const most = Math.min(maxLength, MOST_LETTERS)
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern)).filter((value) => value.length >= minLength && value.length <= maxLength)
  return fc.string({ minLength, maxLength: Math.max(minLength, most), unit: 'grapheme' })
}

function number({ type, minimum, maximum, exclusiveMinimum }: Schema): fc.Arbitrary<number> {
  const min = minimum ?? (exclusiveMinimum === undefined ? -1_000_000 : exclusiveMinimum + (type === 'integer' ? 1 : 1e-9))
  const max = maximum ?? Math.max(min, Number.MAX_SAFE_INTEGER)
  return type === 'integer' ? fc.integer({ min: Math.ceil(min), max: Math.floor(max) }) : fc.double({ min, max, noNaN: true })
}

/** Where in a document, and what: values just outside of what the schema takes. */
export interface Edge {
  path: (string | number)[]
  value: unknown
}

/** One step beyond each border that the schema has. */
export function edgesOf(schema: Schema, path: (string | number)[] = []): Edge[] {
  const edges: Edge[] = []
  const add = (value: unknown) => edges.push({ path, value })
  const step = schema.type === 'number' ? 1e-6 : 1
  if (schema.minimum !== undefined) add(schema.minimum - step)
  if (schema.exclusiveMinimum !== undefined) add(schema.exclusiveMinimum)
  if (schema.maximum !== undefined) add(schema.maximum + step)
  if (schema.minLength !== undefined && schema.minLength > 0) add('x'.repeat(schema.minLength - 1))
  if (schema.maxLength !== undefined) add('x'.repeat(schema.maxLength + 1))
  if (schema.minItems !== undefined && schema.minItems > 0) add([])
  if (schema.maxItems !== undefined && schema.maxItems <= 2000) add(Array.from({ length: schema.maxItems + 1 }, () => ({})))
  if (schema.maxProperties !== undefined) add(Object.fromEntries(Array.from({ length: schema.maxProperties + 1 }, (_, i) => [`K${i}`, 'v'])))
  for (const [name, of] of Object.entries(schema.properties ?? {})) edges.push(...edgesOf(of, [...path, name]))
  for (const one of schema.anyOf ?? []) edges.push(...edgesOf(one, path))
  if (schema.items) edges.push(...edgesOf(schema.items, [...path, 0]))
  return edges
}
