import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import websocket from '@fastify/websocket'
import fastify, { type FastifyInstance, LogController } from 'fastify'
import { createMachineReader } from '#store/explanation/machines.ts'
import { authoriseRequests } from './access/authorise.ts'
import { createCallers } from './access/callers.ts'
import type { GatewayDeps } from './deps.ts'
import { createKnownLimits } from './limits/known-limits.ts'
import { createPace } from './limits/pace.ts'
import { limitRequests } from './limits/rate-limit.ts'
import { answerBrokenRequests } from './plugins/broken-requests.ts'
import { closeGently } from './plugins/closing.ts'
import { compressAnswers } from './plugins/compression.ts'
import { allowOrigins } from './plugins/cors.ts'
import { serveDocs } from './plugins/docs.ts'
import { registerErrors, sendFrameworkError } from './plugins/errors.ts'
import { checkHead, requestIdOf, sendHeaders } from './plugins/headers.ts'
import { registerHealth } from './plugins/health.ts'
import { readJson } from './plugins/json.ts'
import { logRequests } from './plugins/log.ts'
import { meterRequests } from './plugins/meter.ts'
import { registerOpenApi } from './plugins/openapi.ts'
import { refuseOverload } from './plugins/overload.ts'
import { revalidateAnswers } from './plugins/revalidation.ts'
import { traceRequests } from './plugins/trace.ts'
import { accountRoutes } from './routes/account.ts'
import { auditRoutes } from './routes/audit.ts'
import { batchRoutes } from './routes/batches.ts'
import { costRoutes } from './routes/cost.ts'
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
/** How long the headers of a request may take at most; the whole of it by configuration. */
const MAX_HEADERS_MS = 60_000
/** How often connections are looked at for such requests. */
const LOOK_MS = 5000

/** The HTTP application, ready to listen or to be called by a test. Knows nothing of sockets and signals. */
export async function buildApp(deps: GatewayDeps): Promise<FastifyInstance> {
  const { requestMs, trustedProxies } = deps.http
  const pace = createPace()
  const broken = answerBrokenRequests(deps.log)
  const typed = fastify({
    loggerInstance: deps.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    bodyLimit: MAX_BODY_BYTES,
    trustProxy: [...trustedProxies],
    requestTimeout: requestMs,
    http: {
      headersTimeout: Math.min(MAX_HEADERS_MS, requestMs),
      connectionsCheckingInterval: Math.min(LOOK_MS, requestMs),
      // Answered as everything else is, by plugins/headers.ts.
      requireHostHeader: false,
    },
    genReqId: requestIdOf,
    frameworkErrors: sendFrameworkError,
    clientErrorHandler: broken.onClientError,
    forceCloseConnections: 'idle',
    // plugins/closing.ts says it, as a problem document.
    return503OnClosing: false,
    // The longest that an address holds is the name of a secret.
    routerOptions: { maxParamLength: 1024 },
  }).withTypeProvider<TypeBoxTypeProvider>()
  typed.setValidatorCompiler(validatorCompiler)
  const app = typed as unknown as FastifyInstance
  broken.watch(app.server)
  registerErrors(app)
  sendHeaders(app, deps.http)
  await allowOrigins(app, deps.http.corsOrigins)
  checkHead(app)
  logRequests(app)
  traceRequests(app, deps.tracer)
  meterRequests(app, deps.metrics)
  const stopping = closeGently(app)
  await refuseOverload(app, deps.http, deps.metrics)
  readJson(app, pace)
  revalidateAnswers(app)
  await compressAnswers(app)
  await registerOpenApi(app)
  await serveDocs(app)
  // Clients have nothing to say over it; who reads it is told and let go by what sends.
  await app.register(websocket, { options: { maxPayload: 1024 }, preClose: async () => undefined })
  registerHealth(app, deps)
  await app.register(
    async (keyed) => {
      authoriseRequests(keyed, deps, createCallers(deps.pool, deps.oidc, deps.organisationGraceSeconds))
      const known = createKnownLimits(deps.pool)
      const machines = createMachineReader(deps.pool)
      limitRequests(keyed, known, deps.bus, stopping)
      for (const routes of [
        nodeDoorRoutes,
        signInRoutes,
        accountRoutes,
        memberRoutes,
        keyRoutes,
        auditRoutes,
        limitRoutes,
        costRoutes,
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
        await keyed.register(routes, { deps: { ...deps, machines, pace }, known, stopping })
    },
    { prefix: '/v1' },
  )
  return app
}
