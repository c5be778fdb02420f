import type { FastifyInstance } from 'fastify'
import type { Bus } from '#bus/bus.ts'
import { RGridError } from '#core/errors.ts'
import { pause } from '#core/service/time.ts'
import { callerOf, projectOf } from '../access/authorise.ts'
import type { KnownLimits } from './known-limits.ts'
import type { Rate } from './rate.ts'
import { shareRates } from './shared-rates.ts'

/** A refusal costs little, but ten thousand of them in a second are felt by all; who asks again at once waits this long for it. */
const REFUSED_AFTER_MS = 250

/**
 * Holds each account, and each project, to its requests per second, whichever gateways it asks. Says how they stand in the headers
 * RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10). Register it behind authoriseRequests.
 */
export function limitRequests(app: FastifyInstance, known: KnownLimits, bus: Bus, stopping: AbortSignal): void {
  const shared = shareRates(bus)
  app.addHook('onClose', async () => shared.stop())
  app.addHook('onRequest', async (request, reply) => {
    const access = request.routeOptions.config.access
    if (!access || access.where === 'open' || access.where === 'operator') return
    const { accountId } = callerOf(request)
    const projectId = projectOf(request)?.id ?? null
    const limits = await known.of(accountId, projectId)
    const rates: [string, Rate][] = []
    for (const [whose, id] of [
      ['account', accountId],
      ['project', projectId],
    ] as const) {
      const perSecond = limits[whose].requestsPerSecond
      if (id !== null && perSecond !== null) rates.push([whose, shared.take(id, perSecond)])
    }
    if (rates.length === 0) return
    reply.header('ratelimit-policy', rates.map(([whose, rate]) => `"${whose}";q=${rate.perSecond};w=1`).join(', '))
    reply.header('ratelimit', rates.map(([whose, rate]) => `"${whose}";r=${rate.remaining};t=${rate.resetSeconds}`).join(', '))
    const [whose, rate] = rates.find(([, rate]) => !rate.allowed) ?? []
    if (!rate) return
    await pause(REFUSED_AFTER_MS, stopping)
    throw new RGridError('limit_exceeded', `the ${whose} may make ${rate.perSecond} requests per second; try again in ${rate.resetSeconds} s`, {
      retryAfterSeconds: rate.resetSeconds,
    })
  })
}
