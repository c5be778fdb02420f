import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { RGridError } from '#core/errors.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { HttpOptions } from '../http-options.ts'

/** How long a client is asked to wait, in seconds: spread, so that those who were refused together do not come back together. */
const RETRY_SECONDS = { from: 2, to: 6 }

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Is answered also by a gateway that is overloaded. */
    vital?: true
  }
}

/**
 * Refuses requests (503 with Retry-After) while this process is overloaded, so that those that it has taken are answered.
 * Routes that say `config.vital` are always answered: whoever looks after the process must not take it for dead.
 */
export async function refuseOverload(app: FastifyInstance, options: HttpOptions, metrics: Metrics): Promise<void> {
  const refused = metrics.counter('rgrid_http_overload_refusals_total', 'Requests that were refused as this process was overloaded', ['reason'])
  await app.register(underPressure, {
    maxEventLoopDelay: options.maxLoopDelayMs,
    maxHeapUsedBytes: options.maxHeapBytes,
    maxRssBytes: options.maxRssBytes,
    pressureHandler(request, _, kind) {
      if (request.routeOptions.config.vital) return
      refused.inc({ reason: REASONS[kind] ?? 'other' })
      const retryAfterSeconds = RETRY_SECONDS.from + Math.floor(Math.random() * (RETRY_SECONDS.to - RETRY_SECONDS.from + 1))
      throw new RGridError('unavailable', 'this gateway has more to do than it can; try again', { retryAfterSeconds })
    },
  })
  metrics.gauge('rgrid_event_loop_late_seconds', 'By how much the event loop was late, on average over the last second', () => {
    const seconds = app.memoryUsage().eventLoopDelay / 1000
    return Number.isFinite(seconds) ? seconds : {}
  })
}

const REASONS: Readonly<Record<string, string>> = { eventLoopDelay: 'event_loop', heapUsedBytes: 'heap', rssBytes: 'memory' }
