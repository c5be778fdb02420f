import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { hostileValue } from './hostile.ts'
import type { Schema } from './operations.ts'
import { edgesOf } from './valid.ts'

/** A body as it is sent. */
export interface Body {
  bytes: Buffer
  type: string | undefined
  encoding?: string
  /** What was done to it. */
  change: string
}

type Path = (string | number)[]

/** A body as JSON, unspoilt. */
export function plainBody(value: unknown): Body {
  return { bytes: Buffer.from(JSON.stringify(value) ?? 'null'), type: 'application/json', change: 'none' }
}

/** A valid document with one thing wrong in it. */
export function spoilDocument(document: fc.Arbitrary<unknown>, schema: Schema): fc.Arbitrary<Body> {
  const edges = edgesOf(schema)
  const anywhere = fc.nat({ max: 10_000 })
  const spoilers: fc.Arbitrary<Body>[] = [
    fc.tuple(document, anywhere, hostileValue).map(([value, at, wrong]) => changeAt(value, at, 'value', (_, path) => set(value, path, wrong))),
    fc.tuple(document, anywhere).map(([value, at]) => changeAt(value, at, 'missing', (_, path) => remove(value, path))),
    fc
      .tuple(document, anywhere, fc.constantFrom('extra', 'toString', 'constructor', 'a.b', '', '\u0000', 'x'.repeat(300)), hostileValue)
      .map(([value, at, name, wrong]) =>
        changeAt(value, at, 'extra', (found, path) => (isObject(found) ? set(value, [...path, name], wrong) : set(value, path, { [name]: found }))),
      ),
    fc.tuple(document, fc.constantFrom('__proto__', 'constructor')).map(([value, name]) => {
      const text = JSON.stringify(value)
      return json(text.startsWith('{') ? `{"${name}":{"polluted":true}${text === '{}' ? '' : ','}${text.slice(1)}` : text, name)
    }),
    document.map((value) => {
      const text = JSON.stringify(value)
      return json(text.startsWith('{') && text !== '{}' ? `{${text.slice(1, -1)},${text.slice(1)}` : `[${text},${text}]`, 'duplicate keys')
    }),
  ]
  if (edges.length > 0)
    spoilers.push(
      fc
        .tuple(document, fc.constantFrom(...edges))
        .map(([value, edge]) => ({ ...plainBody(set(value, edge.path, edge.value)), change: `edge ${edge.path.join('.')}` })),
    )
  return fc.oneof(...spoilers)
}

/** Bytes that are no document, or say that they are another kind of one. */
export function spoilBytes(document: fc.Arbitrary<unknown>): fc.Arbitrary<Body> {
  const text = document.map((value) => JSON.stringify(value))
  const deep = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels)
  return fc.oneof(
    fc.tuple(text, fc.nat({ max: 2000 })).map(([whole, at]) => json(whole.slice(0, at % Math.max(1, whole.length)), 'cut off')),
    fc.tuple(text, fc.nat({ max: 2000 }), fc.uint8Array({ minLength: 1, maxLength: 8 })).map(([whole, at, junk]) => {
      const bytes = Buffer.from(whole)
      const where = at % (bytes.length + 1)
      return { bytes: Buffer.concat([bytes.subarray(0, where), junk, bytes.subarray(where)]), type: 'application/json', change: 'junk bytes' }
    }),
    fc
      .tuple(
        text,
        fc.constantFrom<string | undefined>(
          undefined,
          '',
          'text/plain',
          'application/xml',
          'application/x-www-form-urlencoded',
          'multipart/form-data; boundary=x',
          'application/json; charset=utf-7',
          'application/json;;',
          'application/x-ndjson',
          'application/octet-stream',
          'APPLICATION/JSON',
          'application/merge-patch+json',
          '/',
          'a'.repeat(500),
        ),
      )
      .map(([whole, type]) => ({ ...json(whole, `type ${String(type).slice(0, 40)}`), type })),
    fc
      .constantFrom(
        ['array', deep('[', ']', 100_000)],
        ['object', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
        ['unclosed', '['.repeat(100_000)],
        ['number', `{"a":${'9'.repeat(100_000)}}`],
        ['1e999', '{"spec":{"timeoutSeconds":1e999},"name":1e999}'],
        ['empty', ''],
        ['spaces', ' '.repeat(1000)],
        ['bom', '\ufeff{}'],
        ['two', '{}{}'],
        ['NaN', '{"a":NaN}'],
        ['comment', '/* */{}'],
        ['null', 'null'],
        ['text', '"text"'],
        ['list', '[{}]'],
        ['many', `[${'{},'.repeat(20_000)}{}]`],
        ['utf-16', Buffer.from('\ufeff{"a":1}', 'utf16le').toString('latin1')],
      )
      .map(([name, whole]) => json(whole ?? '', `deep or odd: ${name}`)),
    text.map((whole) => ({ bytes: gzipSync(whole), type: 'application/json', encoding: 'gzip', change: 'gzip' })),
    text.map((whole) => ({ bytes: gzipSync(whole).subarray(0, -9), type: 'application/json', encoding: 'gzip', change: 'broken gzip' })),
    fc.constant({ bytes: gzipSync(Buffer.alloc(20 * 2 ** 20, 0x20)), type: 'application/json', encoding: 'gzip', change: 'gzip bomb' }),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => ({ bytes: Buffer.from(bytes), type: 'application/json', change: 'bytes of chance' })),
  )
}

/** NDJSON: good, and with lines that are not. */
export function ndjson(head: fc.Arbitrary<unknown>, item: fc.Arbitrary<unknown>): fc.Arbitrary<Body> {
  const line = fc.oneof(
    { weight: 6, arbitrary: item.map((value) => JSON.stringify(value)) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        '',
        '   ',
        '{',
        'null',
        '[]',
        '"x"',
        '{"a":1',
        '\u0000',
        '{"code":"\\u0000"}',
        '{"command":["\\ud800"]}',
        'x'.repeat(1_100_000),
        '{}{}',
      ),
    },
  )
  const lines = fc.tuple(
    fc.oneof({ weight: 5, arbitrary: head.map((value) => JSON.stringify(value)) }, { weight: 1, arbitrary: line }),
    fc.array(line, { maxLength: 12 }),
  )
  return fc
    .tuple(
      lines,
      fc.constantFrom('\n', '\r\n', '\n\n', '\r', ''),
      fc.boolean(),
      fc.oneof({ weight: 4, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.uint8Array({ maxLength: 4 }) }),
    )
    .map(([[first, rest], end, ends, junk]) => {
      const text = [first, ...rest].join(end) + (ends ? end : '')
      return { bytes: Buffer.concat([Buffer.from(text), junk ?? Buffer.alloc(0)]), type: 'application/x-ndjson', change: 'ndjson' }
    })
}

function json(text: string, change: string): Body {
  return { bytes: Buffer.from(text), type: 'application/json', change }
}

/** Changes a value at one of the places in it. */
function changeAt(value: unknown, at: number, change: string, make: (found: unknown, path: Path) => unknown): Body {
  const places = placesIn(value)
  const path = places[at % places.length] ?? []
  return { ...plainBody(make(get(value, path), path)), change: `${change} ${path.join('.')}` }
}

function placesIn(value: unknown, path: Path = []): Path[] {
  if (path.length > 8 || value === null || typeof value !== 'object') return [path]
  const inner = Array.isArray(value) ? value.slice(0, 4).map((one, i) => [i, one] as const) : Object.entries(value).slice(0, 40)
  return [path, ...inner.flatMap(([key, one]) => placesIn(one, [...path, key]))]
}

function get(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((found, key) => (found as Record<string, unknown> | null)?.[key], value)
}

/** A copy with this at that place; what leads there is made. */
function set(value: unknown, [key, ...rest]: Path, wrong: unknown): unknown {
  if (key === undefined) return wrong
  const copy: Record<string | number, unknown> | unknown[] = Array.isArray(value)
    ? [...value]
    : isObject(value)
      ? { ...value }
      : typeof key === 'number'
        ? []
        : {}
  const inner = set((copy as Record<string | number, unknown>)[key], rest, wrong)
  Object.defineProperty(copy, key, { value: inner, enumerable: true, writable: true, configurable: true })
  return copy
}

function remove(value: unknown, path: Path): unknown {
  const last = path.at(-1)
  if (last === undefined) return undefined
  const parent = get(value, path.slice(0, -1))
  const copy: Record<string | number, unknown> | unknown[] = Array.isArray(parent) ? [...parent] : { ...(parent as object) }
  if (Array.isArray(copy)) copy.splice(Number(last), 1)
  else delete copy[last]
  return set(value, path.slice(0, -1), copy)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
