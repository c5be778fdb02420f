import type { FastifyInstance } from 'fastify'
import { errorText } from '#core/errors.ts'
import { withDeadline } from '#core/service/time.ts'
import { checkDb } from '#store/pool.ts'
import type { GatewayDeps } from '../deps.ts'

const DEADLINE_MS = 2000
const UNSEEN = { logLevel: 'warn', schema: { hide: true }, config: { vital: true } } as const

/** `/healthz`: the process lives. `/readyz`: what it stands on answers; 503 names what does not. */
export function registerHealth(app: FastifyInstance, deps: GatewayDeps): void {
  app.get('/healthz', UNSEEN, async () => ({ status: 'ok' }))
  app.get('/readyz', UNSEEN, async (_, reply) => {
    const checks = {
      postgres: () => checkDb(deps.pool),
      nats: () => deps.bus.connection.flush(),
      s3: (signal: AbortSignal) => deps.objects.check(signal),
    }
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => {
        try {
          await withDeadline(name, DEADLINE_MS, async (signal) => void (await check(signal)))
          return [name, 'ok'] as const
        } catch (error) {
          deps.log.warn({ check: name, error: errorText(error) }, 'not ready')
          return [name, 'does not answer'] as const
        }
      }),
    )
    const ready = results.every(([, state]) => state === 'ok')
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', checks: Object.fromEntries(results) })
  })
}
