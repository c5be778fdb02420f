import type { FastifyInstance } from 'fastify'
import { RGridError } from '#core/errors.ts'

/**
 * Lets the gateway end without breaking anything off: the returned signal is aborted when it begins to stop, before it stops
 * listening, so that followers are told and let go, who would keep it open for as long as their jobs run. Requests that are
 * being answered are finished, and their connections closed behind them; further ones on open connections are refused.
 */
export function closeGently(app: FastifyInstance): AbortSignal {
  const stopping = new AbortController()
  app.addHook('preClose', async () => stopping.abort())
  app.addHook('onRequest', async (_, reply) => {
    if (!stopping.signal.aborted) return
    reply.header('connection', 'close')
    throw new RGridError('unavailable', 'this gateway stops; try again', { retryAfterSeconds: 1 })
  })
  app.addHook('onSend', async (_, reply) => {
    if (stopping.signal.aborted) reply.header('connection', 'close')
  })
  return stopping.signal
}
