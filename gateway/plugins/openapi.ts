import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { Problem } from '#core/api.ts'

const DESCRIPTION = 'Runs short containerised jobs. Every error is a problem document (RFC 9457) whose `code` is of a closed list.'
const SWITCHED = { description: 'The protocol is a WebSocket from here on', type: 'null' }
const PROBLEM = { description: 'What went wrong', content: { 'application/problem+json': { schema: Problem } } }

/** Serves `/openapi.json`, made from the schemas that the routes check with. Register it before the routes. */
export async function registerOpenApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'RGrid', version: '1', description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An API key, `rgrid_live_…`' },
          header: { type: 'apiKey', in: 'header', name: 'X-RGrid-Key', description: 'The same' },
        },
      },
      security: [{ bearer: [] }, { header: [] }],
    },
    transform({ schema, url, route }) {
      const response = { ...(route.websocket ? { 101: SWITCHED } : (schema?.response as object)), default: PROBLEM }
      // @fastify/websocket hides its routes.
      return { schema: { ...schema, response, ...(route.websocket ? { hide: false } : {}) }, url }
    },
  })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
}
