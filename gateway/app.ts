import { randomUUID } from 'node:crypto'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import websocket from '@fastify/websocket'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import { RGridError } from '#core/errors.ts'
import { authoriseRequests } from './access/authorise.ts'
import { createCallers } from './access/callers.ts'
import type { GatewayDeps } from './deps.ts'
import { createKnownLimits } from './limits/known-limits.ts'
import { limitRequests } from './limits/rate-limit.ts'
import { registerErrors, sendFrameworkError } from './plugins/errors.ts'
import { registerHealth } from './plugins/health.ts'
import { meterRequests } from './plugins/meter.ts'
import { registerOpenApi } from './plugins/openapi.ts'
import { traceRequests } from './plugins/trace.ts'
import { accountRoutes } from './routes/account.ts'
import { auditRoutes } from './routes/audit.ts'
import { batchRoutes } from './routes/batches.ts'
import { doctorRoutes } from './routes/doctor.ts'
import { eventRoutes } from './routes/events.ts'
import { fileRoutes } from './routes/files.ts'
import { jobRoutes } from './routes/jobs.ts'
import { keyRoutes } from './routes/keys.ts'
import { limitRoutes } from './routes/limits.ts'
import { logSearchRoutes } from './routes/log-search.ts'
import { logRoutes } from './routes/logs.ts'
import { memberRoutes } from './routes/members.ts'
import { nodeDoorRoutes, nodeRoutes } from './routes/nodes.ts'
import { projectRoutes } from './routes/projects.ts'
import { secretRoutes } from './routes/secrets.ts'
import { signInRoutes } from './routes/sign-in.ts'
import { webhookDeliveryRoutes } from './routes/webhook-deliveries.ts'
import { webhookRoutes } from './routes/webhooks.ts'
import { validatorCompiler } from './validation.ts'

const MAX_BODY_BYTES = 4 * 2 ** 20

/** One line for each request. The route's pattern and not the address: an address may hold what nobody should read later. */
function logRequest(request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? 'none'
  request.log.info({ method: request.method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime * 10) / 10 }, 'request')
}

/** The HTTP application, ready to listen or to be called by a test. Knows nothing of sockets and signals. */
export async function buildApp(deps: GatewayDeps): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    bodyLimit: MAX_BODY_BYTES,
    genReqId: () => randomUUID(),
    frameworkErrors: sendFrameworkError,
    forceCloseConnections: 'idle',
    // The longest that an address holds is the name of a secret.
    routerOptions: { maxParamLength: 1024 },
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.removeContentTypeParser('text/plain')
  registerErrors(app as unknown as FastifyInstance)
  traceRequests(app as unknown as FastifyInstance, deps.tracer)
  // Followers would keep the server open for as long as their jobs run: they are told and let go before it closes.
  const stopping = new AbortController()
  app.addHook('preClose', async () => stopping.abort())
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' })
    // No text of ours holds NUL and Postgres takes none, so it is refused here, once for all parameters.
    if (/%00/.test(request.url)) throw new RGridError('bad_request', 'the address holds NUL (%00)')
  })
  app.addHook('onResponse', async (request, reply) => logRequest(request, reply))
  app.addHook('onRequestAbort', async (request) => {
    request.log.info({ method: request.method, route: request.routeOptions.url ?? 'none' }, 'the client went away')
  })
  meterRequests(app as unknown as FastifyInstance, deps.metrics)
  await registerOpenApi(app as unknown as FastifyInstance)
  // Clients have nothing to say over it; who reads it is told and let go by what sends.
  await app.register(websocket, { options: { maxPayload: 1024 }, preClose: async () => undefined })
  registerHealth(app as unknown as FastifyInstance, deps)
  await app.register(
    async (keyed) => {
      authoriseRequests(keyed as unknown as FastifyInstance, deps, createCallers(deps.pool, deps.oidc))
      const known = createKnownLimits(deps.pool)
      limitRequests(keyed as unknown as FastifyInstance, known, stopping.signal)
      for (const routes of [
        nodeDoorRoutes,
        signInRoutes,
        accountRoutes,
        memberRoutes,
        keyRoutes,
        auditRoutes,
        limitRoutes,
        projectRoutes,
        secretRoutes,
        jobRoutes,
        batchRoutes,
        logRoutes,
        logSearchRoutes,
        eventRoutes,
        fileRoutes,
        nodeRoutes,
        doctorRoutes,
        webhookRoutes,
        webhookDeliveryRoutes,
      ])
        await keyed.register(routes, { deps, known, stopping: stopping.signal })
    },
    { prefix: '/v1' },
  )
  return app as unknown as FastifyInstance
}
