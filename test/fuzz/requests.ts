import fc from 'fast-check'
import { hostileHeader, hostileSegment, hostileTexts } from './hostile.ts'
import type { Operation, Parameter, Schema } from './operations.ts'
import type { RawRequest } from './send.ts'
import { type Body, ndjson, plainBody, spoilBytes, spoilDocument } from './spoil.ts'
import { type Hints, valid } from './valid.ts'
import type { Credential } from './world.ts'

/** A request of the fuzz: who sends it, and what was changed of a valid one. */
export interface Fuzzed {
  request: RawRequest
  who: string
  change: string
}

type Pairs = [string, string][]

const SPEC = { runtime: 'bash', code: 'true' }

/** What requests of this route look like: valid ones, and ones with a single thing wrong. */
export function requestsOf(operation: Operation, objects: ReadonlyMap<string, string[]>, credentials: readonly Credential[]): fc.Arbitrary<Fuzzed> {
  const hints = hintsOf(objects)
  const path = fc.record(Object.fromEntries(operation.parameters.filter((one) => one.in === 'path').map((one) => [one.name, segment(operation, one, objects)])))
  const query = queryOf(operation, hints)
  const body = operation.body ? documentOf(operation, operation.body, hints) : undefined
  const plain = body?.map(plainBody) ?? fc.constant(undefined)
  const who = fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...credentials.slice(0, 3)) }, { weight: 1, arbitrary: fc.constantFrom(...credentials) })
  const extra: fc.Arbitrary<Pairs> = fc.constant([])
  const name = Object.keys(pathNames(operation))[0]

  const make = (
    change: string | undefined,
    parts: { path?: fc.Arbitrary<Record<string, string>>; query?: fc.Arbitrary<string>; body?: fc.Arbitrary<Body | undefined>; headers?: fc.Arbitrary<Pairs> },
  ) =>
    fc
      .tuple(parts.path ?? path, parts.query ?? query, parts.body ?? plain, parts.headers ?? extra, who)
      .map(([params, text, content, headers, credential]) =>
        assemble(operation, params as Record<string, string>, text, content, headers, credential, change ?? content?.change ?? 'none'),
      )

  const kinds: { weight: number; arbitrary: fc.Arbitrary<Fuzzed> }[] = [
    { weight: 3, arbitrary: make('none', {}) },
    { weight: 2, arbitrary: make('header', { headers: hostileHeader.map((header) => [header]) }) },
    { weight: 1, arbitrary: make('idempotency key', { headers: idempotencyKeys }) },
    { weight: 2, arbitrary: make('query', { query: fc.tuple(query, hostilePair(operation)).map(([good, bad]) => (good ? `${good}&${bad}` : bad)) }) },
  ]
  if (name !== undefined)
    kinds.push({
      weight: 2,
      arbitrary: make('path', {
        path: fc
          .tuple(path, fc.constantFrom(...Object.keys(pathNames(operation))), hostileSegment)
          .map(([params, at, bad]) => ({ ...params, [at]: bad })) as fc.Arbitrary<Record<string, string>>,
      }),
    })
  if (body && operation.body) {
    kinds.push(
      { weight: 6, arbitrary: make(undefined, { body: spoilDocument(body, operation.body) }) },
      { weight: 2, arbitrary: make(undefined, { body: spoilBytes(body) }) },
    )
    if (operation.path.endsWith('/batches'))
      kinds.push({
        weight: 6,
        arbitrary: make(undefined, {
          body: ndjson(
            fc.constantFrom({ template: SPEC }, { template: { runtime: 'bash' }, parallel: 2 }, { template: SPEC, items: [] }),
            fc.constantFrom<unknown>({}, { code: 'true' }, { env: { A: 'b' } }, { name: 7 }),
          ),
        }),
      })
  } else kinds.push({ weight: 1, arbitrary: make('a body where there is none', { body: spoilBytes(fc.constant({ a: 1 })) }) })
  return fc.oneof(...kinds)
}

function assemble(
  operation: Operation,
  params: Record<string, string>,
  query: string,
  body: Body | undefined,
  headers: Pairs,
  [who, credential]: Credential,
  change: string,
): Fuzzed {
  const target = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => params[name] ?? '') + (query === '' ? '' : `?${query}`)
  const own: Pairs = []
  if (body?.type !== undefined) own.push(['content-type', body.type])
  if (body?.encoding !== undefined) own.push(['content-encoding', body.encoding])
  // Told once: the one that is wrong takes the place of ours.
  const wrong = new Set(headers.map(([name]) => name))
  const kept = [...credential, ...own].filter(([name]) => !wrong.has(name))
  return { request: { method: operation.method, target, headers: [...kept, ...headers], body: body?.bytes }, who, change }
}

function pathNames(operation: Operation): Record<string, Parameter> {
  return Object.fromEntries(operation.parameters.filter((one) => one.in === 'path').map((one) => [one.name, one]))
}

/** The id of something that is there, mostly. */
function segment(operation: Operation, { name }: Parameter, objects: ReadonlyMap<string, string[]>): fc.Arbitrary<string> {
  // The project that everything is in is not to go.
  if (operation.name === 'DELETE /v1/projects/{slug}') return fc.constantFrom('none-of-this-name', 'sibling')
  const kind = name === 'id' ? (operation.path.split('/')[2] ?? '') : name === 'deliveryId' ? 'deliveries' : name
  // What others ask for is not to go before they have.
  const known = (operation.method === 'DELETE' ? objects.get(`doomed ${kind}`) : undefined) ?? objects.get(kind) ?? []
  // The newest ones and the first ones: the list grows.
  const some = [...known.slice(0, 5), ...known.slice(-15)]
  return fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...(some.length > 0 ? some : ['none'])) },
    { weight: 1, arbitrary: fc.constantFrom('none', 'job_00000000000000000000000000') },
  )
}

function queryOf({ parameters }: Operation, hints: Hints): fc.Arbitrary<string> {
  const own = parameters.filter((one) => one.in === 'query')
  const values = fc.record(Object.fromEntries(own.map((one) => [one.name, valid(one.schema, hints, one.name)])), {
    requiredKeys: own.filter((one) => one.required).map((one) => one.name),
  })
  return values.map((found) =>
    Object.entries(found)
      .flatMap(([name, value]) =>
        (Array.isArray(value) ? value : [value]).map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(String(one).toWellFormed())}`),
      )
      .join('&'),
  )
}

function hostilePair({ parameters }: Operation): fc.Arbitrary<string> {
  const names = parameters.filter((one) => one.in === 'query').map((one) => one.name)
  const encoded = fc.constantFrom(...hostileTexts.filter((text) => text.length < 5000)).map((text) => encodeURIComponent(text.toWellFormed()))
  const raw = fc.constantFrom(
    '%',
    '%ff',
    '%00',
    '%zz',
    '=',
    '[]',
    '[__proto__]=1',
    ';',
    '&&&',
    '%ed%a0%80',
    `${'a&'.repeat(3000)}`,
    'cursor=',
    Buffer.from('v1:999999999999999').toString('base64url'),
    Buffer.from('v1:-1').toString('base64url'),
    Buffer.from('{"a":1}').toString('base64url'),
    '!!!!',
  )
  const name = fc.constantFrom(...names, ...names, 'cursor', 'extra', '__proto__', 'constructor', 'a[b]', 'limit')
  return fc.oneof(
    fc.tuple(name, fc.oneof(encoded, raw)).map(([key, value]) => `${encodeURIComponent(key)}=${value}`),
    raw,
    fc.tuple(name, encoded).map(([key, value]) => `${key}=1&${key}=${value}`),
  )
}

const idempotencyKeys: fc.Arbitrary<Pairs> = fc
  .oneof(fc.constantFrom('a', 'b', '"c"', '', '""', ' ', 'x'.repeat(255), 'x'.repeat(256), 'é', '\xff', 'a b', '"', '*', 'a,b'), fc.uuid())
  .map((key) => [['idempotency-key', key]])

function documentOf(operation: Operation, schema: Schema, hints: Hints): fc.Arbitrary<unknown> {
  const free = valid(schema, hints)
  const spec = schema.properties?.spec ?? schema.properties?.template
  if (!spec) return free
  // What runs at all, with some of the fields as the schema has them.
  const some = fc.tuple(
    valid(spec, hints),
    fc.array(fc.constantFrom(...Object.keys(spec.properties ?? {}).filter((key) => !['command', 'code', 'requirements', 'files', 'webhook'].includes(key))), {
      maxLength: 3,
    }),
  )
  const runs = some.map(([all, keys]) => ({ ...Object.fromEntries(Object.entries(all as object).filter(([key]) => keys.includes(key))), ...SPEC }))
  const whole = operation.path.endsWith('/batches')
    ? fc
        .tuple(runs, fc.array(fc.constantFrom<unknown>({}, { env: { A: 'b' } }), { minLength: 1, maxLength: 5 }))
        .map(([template, items]) => ({ template, items }))
    : runs.map((one) => ({ spec: one }))
  return fc.oneof({ weight: 3, arbitrary: whole }, { weight: 1, arbitrary: free })
}

function hintsOf(objects: ReadonlyMap<string, string[]>): Hints {
  const known = (kind: string) => fc.constantFrom(...(objects.get(kind)?.slice(0, 3) ?? []), ...(objects.get(kind)?.slice(-10) ?? []), 'none')
  const recent = fc.constantFrom('2026-01-01T00:00:00Z', '2020-02-29T23:59:59.999Z', '2034-12-31T00:00:00+02:00')
  const large = fc.constantFrom(1_000_000, 999_999, 500_000, null)
  return {
    runtime: fc.constantFrom('bash', 'python:3.11', 'docker.io/library/alpine:3.20'),
    url: fc.constantFrom('https://example.com/hook', 'http://example.com:8080/x?y=z'),
    cpu: fc.constantFrom('1', '500m', 2),
    memory: fc.constantFrom('64Mi', '1Gi'),
    disk: fc.constantFrom('64Mi', '1Gi'),
    secret: fc.constantFrom('A_SECRET', 'ANOTHER'),
    sha256: fc.constantFrom('a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64)),
    token: known('tokens'),
    publicKey: known('publicKeys'),
    job: known('jobs'),
    batch: known('batches'),
    project: fc.constant('default'),
    object: known('jobs'),
    actor: known('userId'),
    since: recent,
    until: recent,
    notBefore: recent,
    cursor: fc.constantFrom(Buffer.from('v1:5').toString('base64url'), Buffer.from('v1:1000000').toString('base64url')),
    requestsPerSecond: large,
    openJobs: large,
    jobMemoryBytes: fc.constantFrom(2 ** 40, null),
    storageBytes: fc.constantFrom(2 ** 50, null),
    monthMicrons: fc.constantFrom(10 ** 14, null),
  }
}
