import { errorResponses, errorsOf } from './errors.ts'
import { nameSchemas } from './named-schemas.ts'
import { EXAMPLE, type Examples, type Operation, TAGS } from './operation.ts'

/** The parts of an OpenAPI document that are filled in here. */
interface Media {
  schema?: { anyOf?: { type?: string }[] }
  example?: unknown
  examples?: Record<string, { value: unknown }>
}
interface Answer {
  description: string
  headers?: Record<string, unknown>
  content?: Record<string, Media>
}
interface DocumentedOperation {
  operationId?: string
  parameters?: { name: string; in: string; example?: unknown; description?: string; schema?: object; required?: boolean }[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, Answer | { $ref: string }>
  'x-rgrid-access'?: { where: string }
  'x-rgrid-revalidated'?: boolean
}
/** An OpenAPI 3.1 document as @fastify/swagger makes it. */
export interface OpenApiDocument {
  components?: Record<string, unknown>
  paths?: Record<string, Record<string, DocumentedOperation>>
}

const STATUS_WORDS: Readonly<Record<string, string>> = { 200: 'Done', 201: 'Made', 204: 'Gone', 302: 'It is there' }
const string = { type: 'string' }
const HEADERS = {
  RequestId: {
    description: 'The id of the request: that of `X-Request-Id` when one was sent.',
    schema: string,
    example: '3a7f0f5e-6f0c-4f3e-9a51-0f5b6f6d2a11',
  },
  RetryAfter: { description: 'After how many seconds to try again.', schema: { type: 'integer' }, example: 5 },
  RateLimit: { description: 'How the limits of requests stand: `r` are left, for `t` seconds.', schema: string, example: '"account";r=49;t=1' },
  RateLimitPolicy: { description: 'The limits of requests: `q` in `w` seconds.', schema: string, example: '"account";q=50;w=1' },
  ETag: { description: 'Of this very answer; send it as `If-None-Match`.', schema: string, example: 'W/"2jmj7l5rSw0yVb_vlWAYkK_YBwk"' },
  Location: { description: 'The address of what was made.', schema: string, example: `/v1/jobs/${EXAMPLE.job}` },
} as const
const header = (name: keyof typeof HEADERS) => ({ $ref: `#/components/headers/${name}` })
const PARAMETERS = {
  IdempotencyKey: {
    name: 'Idempotency-Key',
    in: 'header',
    description: 'Of your choice, such as a UUID: the same request again within 24 hours gets the same answer, and nothing is made twice.',
    schema: { type: 'string', minLength: 1, maxLength: 255 },
    example: '1f0c7c0a-6a55-4bb8-9d0e-7a2b5a8f0c11',
  },
  IfNoneMatch: {
    name: 'If-None-Match',
    in: 'header',
    description: 'The ETag of the answer that you have: 304 when it is still that one.',
    schema: string,
    example: 'W/"2jmj7l5rSw0yVb_vlWAYkK_YBwk"',
  },
  LastEventId: {
    name: 'Last-Event-ID',
    in: 'header',
    description: 'The id of the last event that came: the stream goes on behind it.',
    schema: string,
    example: 'mi7k2x8q-41',
  },
} as const
const parameter = (name: keyof typeof PARAMETERS) => ({ $ref: `#/components/parameters/${name}` })

/** Fills in what the schemas do not say: names of shapes, examples, headers, errors, parameters that are headers. */
export function describe(document: OpenApiDocument, operations: Readonly<Record<string, Operation>>): OpenApiDocument {
  const byId = new Map(Object.values(operations).map((operation) => [operation.id, operation]))
  for (const [path, methods] of Object.entries(document.paths ?? {}))
    for (const [method, documented] of Object.entries(methods)) describeOne(path, method, documented, byId.get(documented.operationId ?? ''))
  const responses = errorResponses()
  const schemas = nameSchemas({ paths: document.paths, responses })
  const tags = Object.entries(TAGS).map(([name, description]) => ({ name, description }))
  return { ...document, ...{ tags }, components: { ...document.components, schemas, responses, headers: HEADERS, parameters: PARAMETERS } }
}

function describeOne(path: string, method: string, documented: DocumentedOperation, operation: Operation | undefined): void {
  const parameters = documented.parameters ?? []
  for (const one of parameters) {
    const example = operation?.parameters?.[one.name] ?? (one.in === 'path' ? pathExample(path, one.name) : undefined)
    if (example !== undefined) one.example = example
  }
  if (documented.requestBody && operation?.body) {
    const { schema } = documented.requestBody.content['application/json'] ?? {}
    if (schema?.anyOf?.some(({ type }) => type === 'null')) documented.requestBody.required = false
    for (const mediaType of Object.keys(operation.body)) documented.requestBody.content[mediaType] ??= { schema: { ...string } as object }
    addExamples(documented.requestBody.content, operation.body)
  }
  const access = documented['x-rgrid-access']?.where
  for (const [status, answer] of Object.entries(documented.responses)) {
    if ('$ref' in answer || status === 'default') continue
    if (answer.description === 'Default Response') answer.description = STATUS_WORDS[status] ?? 'Done'
    addExamples(answer.content ?? {}, operation?.answers[Number(status)] ?? {})
    answer.headers = {
      'X-Request-Id': header('RequestId'),
      ...(access === 'open' || access === 'operator' ? {} : { RateLimit: header('RateLimit'), 'RateLimit-Policy': header('RateLimitPolicy') }),
      ...(documented['x-rgrid-revalidated'] ? { ETag: header('ETag') } : {}),
      ...(status === '302' || (status === '201' && operation?.idempotent) ? { Location: header('Location') } : {}),
    }
  }
  const extra = [
    ...(operation?.idempotent ? [parameter('IdempotencyKey')] : []),
    ...(documented['x-rgrid-revalidated'] ? [parameter('IfNoneMatch')] : []),
    ...(Object.values(documented.responses).some((answer) => 'content' in answer && answer.content?.['text/event-stream']) ? [parameter('LastEventId')] : []),
  ]
  if (parameters.length + extra.length > 0) documented.parameters = [...parameters, ...(extra as unknown as typeof parameters)]
  if (documented['x-rgrid-revalidated']) documented.responses['304'] = { description: 'What you have is still what it is', headers: { ETag: header('ETag') } }
  const shape = {
    open: access === 'open',
    project: path.includes('{') || path === '/v1/events',
    body: documented.requestBody !== undefined,
    query: parameters.some((one) => one.in === 'query'),
    changes: method !== 'get',
  }
  documented.responses = { ...documented.responses, ...errorsOf(shape) }
}

function addExamples(content: Record<string, Media>, examples: Examples): void {
  for (const [mediaType, media] of Object.entries(content)) {
    const example = examples[mediaType]
    if (example === undefined) continue
    // Of what is answered piece by piece there may be several kinds of pieces, by name.
    if (media.schema?.anyOf && mediaType !== 'application/json')
      media.examples = Object.fromEntries(Object.entries(example as object).map(([name, value]) => [name, { value }]))
    else media.example = example
  }
}

function pathExample(path: string, name: string): string | undefined {
  if (name === 'slug') return 'default'
  if (name === 'userId') return EXAMPLE.user
  if (name === 'deliveryId') return EXAMPLE.delivery
  const kind = path.split('/')[2]
  const known: Record<string, string> = {
    jobs: EXAMPLE.job,
    batches: EXAMPLE.batch,
    artifacts: EXAMPLE.artifact,
    webhooks: EXAMPLE.webhook,
    keys: EXAMPLE.key,
    nodes: EXAMPLE.node,
  }
  return name === 'id' ? known[kind ?? ''] : undefined
}
