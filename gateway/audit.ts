import type { FastifyRequest } from 'fastify'
import { type Deed, recordDeed } from '#store/audit.ts'
import type { Db } from '#store/pool.ts'
import { callerOf, projectOf } from './access/authorise.ts'
import { clientAddress } from './trusted-proxies.ts'

/** Writes down who did this, from where, in the transaction that does it. `action` is such as `key.create`, `details` holds no secret. */
export async function audit(tx: Db, request: FastifyRequest, action: string, objectId: string | null, details: Record<string, unknown> = {}): Promise<void> {
  await recordDeed(tx, deedOf(request, action, objectId, details))
}

/** What `audit` writes down. */
export function deedOf(request: FastifyRequest, action: string, objectId: string | null, details: Record<string, unknown> = {}): Deed {
  const { kind, accountId } = callerOf(request)
  if (request.routeOptions.config.access?.where === 'operator') throw new Error(`${action} is an operator’s: whose account it concerns is for auditOperator`)
  return { ...originOf(request), actorKind: kind, accountId, projectId: projectOf(request)?.id ?? null, action, objectId, details }
}

/** The same for what an operator does: it is of the account that it concerns, null where that is the whole installation. */
export async function auditOperator(
  tx: Db,
  request: FastifyRequest,
  accountId: string | null,
  action: string,
  objectId: string,
  details: Record<string, unknown> = {},
): Promise<void> {
  await recordDeed(tx, { ...originOf(request), actorKind: 'operator', accountId, projectId: null, action, objectId, details })
}

function originOf(request: FastifyRequest): Pick<Deed, 'actorId' | 'actorName' | 'ip' | 'requestId'> {
  const { id, name } = callerOf(request)
  return { actorId: id, actorName: name, ip: clientAddress(request), requestId: request.id }
}
