import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import { ERROR_CODES } from '#core/errors.ts'
import { validateJob } from '#core/job/validate.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { OPERATIONS } from '../../../gateway/openapi/operations.ts'
import { validateBatch } from '../../harness/batch.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

interface Media {
  schema?: object
  example?: unknown
  examples?: Record<string, { value: unknown }>
}
interface Answer {
  $ref?: string
  description?: string
  content?: Record<string, Media>
}
interface Parameter {
  $ref?: string
  name: string
  in: string
  required?: boolean
  schema: object
  example?: unknown
}
interface Documented {
  summary?: string
  description?: string
  operationId?: string
  tags?: string[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, Answer>
  'x-rgrid-access'?: { where: string; scope?: string; roles?: string[] }
}
interface Document {
  openapi: string
  tags: { name: string }[]
  paths: Record<string, Record<string, Documented>>
  components: { schemas: Record<string, object>; responses: Record<string, Answer>; parameters: Record<string, Parameter> }
}

let gateway: TestGateway
let document: Document
let each: [string, Documented][]
before(async () => {
  gateway = await startGateway()
  document = (await gateway.app.inject('/openapi.json')).json<Document>()
  each = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as [string, Documented]),
  )
})
after(() => gateway.stop())

/** Whether an example is what its schema says, with the references of the document. */
function checker(): (schema: object, example: unknown, what: string) => void {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema({ $id: 'rgrid', components: document.components })
  return (schema, example, what) => {
    const check = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"rgrid#/components/')))
    assert.ok(check(example), `${what}: ${ajv.errorsText(check.errors)}\n${JSON.stringify(example)}`)
  }
}

function examplesOf(media: Media): unknown[] {
  return [...(media.example === undefined ? [] : [media.example]), ...Object.values(media.examples ?? {}).map(({ value }) => value)]
}

test('the document is valid OpenAPI 3.1, by another’s schema', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document) as unknown as Record<string, unknown>)
  assert.ok(valid, JSON.stringify(errors, null, 1))
  assert.equal(document.openapi, '3.1.0')
})

test('every route says what it is, its tag, a name of its own, and who may use it; and no operation is of no route', () => {
  const ids = each.map(([, operation]) => operation.operationId)
  assert.equal(new Set(ids).size, ids.length)
  const tags = document.tags.map(({ name }) => name)
  for (const [route, { summary, description, operationId, tags: own, ...operation }] of each) {
    assert.ok(summary && summary.length > 3, `${route}: no summary`)
    assert.match(operationId ?? '', /^[a-z][A-Za-z]+$/, `${route}: no operationId; add it to gateway/openapi/`)
    assert.ok(own?.length === 1 && tags.includes(own[0] as string), `${route}: no tag`)
    assert.match(description ?? '', /\*\*Access:\*\* /, `${route}: does not say who may use it`)
    assert.ok(operation['x-rgrid-access'], route)
  }
  assert.deepEqual(Object.keys(OPERATIONS).sort(), each.map(([route]) => route).sort())
})

test('every body, every parameter and every answer of every route has an example that is what its schema says', () => {
  const check = checker()
  let checked = 0
  const assertExamples = (content: Record<string, Media>, what: string) => {
    for (const [mediaType, media] of Object.entries(content)) {
      const examples = examplesOf(media)
      assert.ok(examples.length > 0, `${what} as ${mediaType} has no example; add it to gateway/openapi/`)
      for (const example of examples) check(media.schema ?? {}, example, `${what} as ${mediaType}`)
      checked += examples.length
    }
  }
  for (const [route, operation] of each) {
    if (operation.requestBody) assertExamples(operation.requestBody.content, `the body of ${route}`)
    for (const parameter of operation.parameters ?? []) {
      const own = parameter.$ref ? (document.components.parameters[parameter.$ref.split('/').at(-1) as string] as Parameter) : parameter
      assert.notEqual(own.example, undefined, `${route}: the parameter ${own.name} has no example`)
      check(own.schema, own.example, `${route}: ${own.name}`)
    }
    for (const [status, answer] of Object.entries(operation.responses)) if (answer.content) assertExamples(answer.content, `${status} of ${route}`)
    assert.ok(
      Object.keys(operation.responses).some((status) => /^[123]/.test(status)),
      route,
    )
  }
  assert.ok(checked > 60, String(checked))
})

test('every error answer is a problem document, with an example of its own status', () => {
  const check = checker()
  assert.deepEqual(Object.keys(document.components.responses).sort(), Object.keys(ERROR_CODES).sort())
  for (const [code, answer] of Object.entries(document.components.responses)) {
    const [[mediaType, media] = [], ...others] = Object.entries(answer.content ?? {})
    assert.deepEqual([mediaType, others], ['application/problem+json', []])
    const { schema, example } = media as Media
    check(schema as object, example, code)
    assert.equal((example as { status: number }).status, ERROR_CODES[code as keyof typeof ERROR_CODES].status)
  }
  for (const [route, operation] of each)
    for (const [status, answer] of Object.entries(operation.responses))
      if (!/^[123]/.test(status)) assert.match(answer.$ref ?? '', /^#\/components\/responses\/[a-z_]+$/, `${status} of ${route}`)
})

test('shapes have names, and every reference leads somewhere', () => {
  const text = JSON.stringify(document)
  for (const [, kind, name] of text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g))
    assert.ok((document.components as unknown as Record<string, Record<string, unknown>>)[kind as string]?.[name as string], `${kind}/${name}`)
  for (const name of ['Job', 'JobSpec', 'Batch', 'Problem', 'Webhook', 'Key', 'Node']) assert.ok(text.includes(`"$ref":"#/components/schemas/${name}"`), name)
})

test('the documents of the examples are taken by what checks real ones', () => {
  const bodyOf = (route: string) => OPERATIONS[route]?.body?.['application/json']
  assert.equal(validateJob(bodyOf('POST /v1/projects/{slug}/jobs'), RUNTIMES).name, 'thumbnails')
  assert.equal(validateBatch(bodyOf('POST /v1/projects/{slug}/batches'), RUNTIMES).jobs.length, 2)
})

/** POSTs that take no Idempotency-Key, and why sending one of them twice makes nothing twice. */
const HARMLESS_TWICE: Readonly<Record<string, string>> = {
  'POST /v1/jobs/{id}/cancel': 'what ended stays ended',
  'POST /v1/batches/{id}/cancel': 'what ended stays ended',
  'POST /v1/nodes/{id}/drain': 'a state that is set',
  'POST /v1/nodes/{id}/resume': 'a state that is set',
  'POST /v1/nodes/enrol': 'the token is taken once, and answers the same key again',
  'POST /v1/nodes/{id}/credentials': 'nothing is stored',
  'POST /v1/estimate': 'nothing is stored',
}

test('every POST that makes something takes an Idempotency-Key', () => {
  const without = each.filter(([route]) => route.startsWith('POST ') && !OPERATIONS[route]?.idempotent).map(([route]) => route)
  assert.deepEqual(
    without.filter((route) => !HARMLESS_TWICE[route]),
    [],
  )
  assert.deepEqual(
    Object.keys(HARMLESS_TWICE).filter((route) => !without.includes(route)),
    [],
  )
})
