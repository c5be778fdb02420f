import type { FastifyInstance } from 'fastify'
import type { Metrics } from '#core/service/metrics.ts'

/** Seconds: a status is read in milliseconds, a batch of 100,000 jobs is stored in many seconds. */
const BUCKETS = [0.005, 0.02, 0.1, 0.5, 1, 5, 30]

/** Measures how long requests take, by the route's pattern and not the address, which could be anything. */
export function meterRequests(app: FastifyInstance, metrics: Metrics): void {
  const seconds = metrics.histogram('rgrid_http_request_seconds', 'How long requests took', ['method', 'route', 'status'], BUCKETS)
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    seconds.observe({ method: request.method, route, status: `${Math.floor(reply.statusCode / 100)}xx` }, reply.elapsedTime / 1000)
  })
}
