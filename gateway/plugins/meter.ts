import type { FastifyInstance } from 'fastify'
import type { Metrics } from '#core/service/metrics.ts'
import { meterStreams, type StreamMeter } from '../log/meters.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Set by meterRequests. */
    meterStream: StreamMeter
  }
}

/** Seconds: a status is read in milliseconds, a batch of 100,000 jobs is stored in many seconds. */
const BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30]

/** Measures how long requests take, by the route's pattern and not the address, which could be anything. */
export function meterRequests(app: FastifyInstance, metrics: Metrics): void {
  const seconds = metrics.histogram('rgrid_http_request_seconds', 'How long requests took', ['method', 'route', 'status'], BUCKETS)
  const inFlight = metrics.level('rgrid_http_requests_in_flight', 'Requests that are being answered, followers included')
  inFlight.set(0)
  app.decorate('meterStream', meterStreams(metrics))
  app.addHook('onRequest', async (_, reply) => {
    inFlight.inc()
    // Once for each answer, also one that nobody waited for.
    reply.raw.once('close', () => inFlight.dec())
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    seconds.observe({ method: request.method, route, status: `${Math.floor(reply.statusCode / 100)}xx` }, reply.elapsedTime / 1000)
  })
}
