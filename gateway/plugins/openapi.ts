import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { accessExtension, accessWords } from '../openapi/access-words.ts'
import { describe, type OpenApiDocument } from '../openapi/describe.ts'
import { OPERATIONS } from '../openapi/operations.ts'

const DESCRIPTION = `Runs short containerised jobs. \`docs/API.md\` says how to use it.

- **Credentials**: \`Authorization: Bearer …\` with an API key or a token of somebody who signed in, or \`X-RGrid-Key: …\`.
- **Errors** are problem documents (RFC 9457, \`application/problem+json\`) whose \`code\` is of a closed list; 429 and 503 say \`Retry-After\`.
- **Lists** are read page by page: \`?cursor=\` takes the \`nextCursor\` of the page before.
- **Retries** of a POST that makes something are safe with an \`Idempotency-Key\`.`
const SWITCHED = { description: 'The protocol is a WebSocket from here on', type: 'null' }

/** Serves `/openapi.json`, made from the schemas that the routes check with. Register it before the routes. */
export async function registerOpenApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'RGrid', version: '1', description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      servers: [{ url: '/', description: 'This gateway' }],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An API key, `rgrid_live_…`, or a token of somebody who signed in' },
          header: { type: 'apiKey', in: 'header', name: 'X-RGrid-Key', description: 'An API key' },
        },
      },
      security: [{ bearer: [] }, { header: [] }],
    },
    transform({ schema, url, route }) {
      const access = route.config?.access
      if (!access) return { schema: schema as object, url }
      const { id, tag, description } = OPERATIONS[`${String(route.method)} ${url.replaceAll(/:(\w+)/g, '{$1}')}`] ?? {}
      const about = [description ?? schema?.description, accessWords(access)].filter((text) => text !== undefined).join('\n\n')
      return {
        schema: {
          ...schema,
          ...(id === undefined ? {} : { operationId: id, tags: [tag as string] }),
          description: about,
          'x-rgrid-access': accessExtension(access),
          ...(route.config?.revalidated ? { 'x-rgrid-revalidated': true } : {}),
          response: { ...(route.websocket ? { 101: SWITCHED } : (schema?.response as object)) },
          // @fastify/websocket hides its routes.
          ...(route.websocket ? { hide: false } : {}),
        },
        url,
      }
    },
    transformObject: (input) => ('openapiObject' in input ? (describe(input.openapiObject as OpenApiDocument, OPERATIONS) as object) : input.swaggerObject),
  })
  let document: string | undefined
  app.get('/openapi.json', { schema: { hide: true }, config: { revalidated: true } }, async (_, reply) => {
    // Made once: the routes do not change any more.
    document ??= JSON.stringify(app.swagger())
    return reply.type('application/json').send(document)
  })
}
