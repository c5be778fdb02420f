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
  const caller = callerOf(request)
  return {
    accountId: caller.accountId,
    projectId: projectOf(request)?.id ?? null,
    actorKind: request.routeOptions.config.access?.where === 'operator' ? 'operator' : caller.kind,
    actorId: caller.id,
    actorName: caller.name,
    action,
    objectId,
    ip: clientAddress(request),
    requestId: request.id,
    details,
  }
}
