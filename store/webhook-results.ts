import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { recordEvents } from './events.ts'
import type { DatabasePool, Db, Tx } from './pool.ts'
import { row } from './row.ts'
import type { ClaimedDelivery } from './webhook-deliveries.ts'

/** What came of sending a delivery once. */
export interface TryRecord {
  atMs: number
  durationMs: number
  status: number | null
  error: string | null
  /** Text without NUL, which Postgres does not hold. */
  responseBody: string | null
}

/** What becomes of a delivery after a try. */
export type DeliveryNext = { to: 'delivered' } | { to: 'failed' } | { to: 'pending'; inMs: number }

const TriedRow = row(Type.Object({ id: Type.Number() }))

/**
 * Writes a try and what follows from it, in one statement; when the delivery is settled, the next one of its subject is due.
 * False when the claim was over, or the delivery was changed by hand meanwhile: then only the try is noted.
 */
export async function recordTry(db: Db, delivery: Pick<ClaimedDelivery, 'id' | 'claim'>, record: TryRecord, next: DeliveryNext): Promise<boolean> {
  const settled = next.to !== 'pending'
  const noted = sql.fragment`
    insert into webhook_tries (delivery_id, number, at, duration_ms, status, error, response_body)
    select id, tries, to_timestamp(${record.atMs / 1000}::float8), ${Math.round(record.durationMs)}, ${record.status}, ${record.error}, ${record.responseBody} from tried`
  const ours = await db.maybeOne(sql.type(TriedRow)`
    with tried as (
      update webhook_deliveries set state = ${next.to}, tries = tries + 1, step = step + 1, claimed_until = null,
        next_try_at = ${next.to === 'pending' ? sql.fragment`now() + make_interval(secs => ${next.inMs / 1000})` : null},
        finished_at = ${settled ? sql.fragment`now()` : null}, last_status = ${record.status}, last_error = ${record.error}
      where id = ${delivery.id} and state = 'pending' and claimed_until = ${delivery.claim}::timestamptz
      returning id, tries, endpoint_id, subject
    ), noted as (${noted}), called as (
      update webhook_deliveries f set next_try_at = f.created_at from tried t
      where ${settled} and f.state = 'pending' and f.step = 0 and f.claimed_until is null and f.id = (
        select x.id from webhook_deliveries x
        where x.endpoint_id = t.endpoint_id and x.subject = t.subject and x.state = 'pending' and x.id <> t.id order by x.id limit 1)
    )
    select id from tried`)
  if (ours) return true
  await db.query(sql.unsafe`with tried as (update webhook_deliveries set tries = tries + 1 where id = ${delivery.id} returning id, tries) ${noted}`)
  return false
}

/** Notes that an endpoint has taken a delivery: it is not failing. */
export async function recordEndpointWell(db: Db, endpointId: string): Promise<void> {
  await db.query(sql.unsafe`update webhook_endpoints set failing_since = null where id = ${endpointId} and failing_since is not null`)
}

const FailingRow = row(Type.Object({ overdue: Type.Boolean() }))

/**
 * Notes that an endpoint has failed a delivery, and switches it off when it answered that it is gone, or has failed for so
 * many days. Returns why it was switched off. That of kind 'jobs' has many addresses, and stays as it is.
 */
export async function recordEndpointFailure(
  db: DatabasePool,
  endpointId: string,
  options: { gone: boolean; disableDays: number },
): Promise<'gone' | 'failing' | undefined> {
  return db.transaction(async (tx) => {
    const failing = await tx.maybeOne(sql.type(FailingRow)`
      update webhook_endpoints set failing_since = coalesce(failing_since, now())
      where id = ${endpointId} and kind = 'endpoint' and enabled
      returning failing_since <= now() - make_interval(secs => ${options.disableDays * 86_400}) as overdue`)
    const reason = !failing ? undefined : options.gone ? 'gone' : failing.overdue ? 'failing' : undefined
    if (reason) await disableEndpoint(tx, endpointId, reason, options.disableDays)
    return reason
  })
}

const DisabledRow = row(Type.Object({ account_id: Type.String(), project_id: Type.String(), url: Type.String() }))

async function disableEndpoint(tx: Tx, endpointId: string, reason: 'gone' | 'failing', days: number): Promise<void> {
  const disabled = await tx.one(sql.type(DisabledRow)`
    update webhook_endpoints set enabled = false, disabled_reason = ${reason}, disabled_at = now() where id = ${endpointId}
    returning account_id, project_id, url`)
  const text = reason === 'gone' ? 'the endpoint was switched off: it answered 410 Gone' : `the endpoint was switched off: nothing reached it for ${days} days`
  await tx.query(sql.unsafe`
    update webhook_deliveries set state = 'failed', finished_at = now(), next_try_at = null, claimed_until = null, last_error = ${text}
    where endpoint_id = ${endpointId} and state = 'pending'`)
  await recordEvents(tx, [
    {
      accountId: disabled.account_id,
      projectId: disabled.project_id,
      batchId: null,
      jobId: null,
      type: 'webhook.disabled',
      data: { webhookId: endpointId, url: disabled.url, reason },
    },
  ])
}
