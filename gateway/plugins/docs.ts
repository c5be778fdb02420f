import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'

/** Nothing from elsewhere, nothing that is written into the page; the logos of the viewer are `data:`. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Serves `/docs`: a viewer over `/openapi.json`, whole from this process. Register it behind the document. */
export async function serveDocs(app: FastifyInstance): Promise<void> {
  await app.register(async (docs) => {
    // What it serves does not change while the process lives, except the page itself.
    docs.addHook('onSend', async (request, reply) => {
      if (reply.statusCode === 200) reply.header('cache-control', request.url.includes('/static/') ? 'public, max-age=3600' : 'no-cache')
    })
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: POLICY,
      theme: { title: 'RGrid API' },
      uiConfig: {
        layout: 'BaseLayout',
        deepLinking: true,
        docExpansion: 'list',
        defaultModelsExpandDepth: 0,
        defaultModelExpandDepth: 3,
        displayOperationId: true,
        displayRequestDuration: true,
        filter: true,
        persistAuthorization: false,
        tryItOutEnabled: false,
        validatorUrl: null,
      },
    })
  })
}
