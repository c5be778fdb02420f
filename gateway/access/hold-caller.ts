import type { FastifyRequest } from 'fastify'
import { RGridError } from '#core/errors.ts'
import { holdMaker } from '#store/made-keys.ts'
import type { Tx } from '#store/pool.ts'
import { callerOf } from './authorise.ts'

/**
 * Keeps whoever asks from being taken out, or revoked, until the transaction is over: a key that is made must not be missed when those
 * of its maker end. Throws `unauthenticated` when that has happened since the request was let in.
 */
export async function holdCaller(tx: Tx, request: FastifyRequest): Promise<void> {
  const { accountId, id } = callerOf(request)
  if (!(await holdMaker(tx, accountId, id))) throw new RGridError('unauthenticated', 'you were taken out, or the API key was revoked, just now')
}
