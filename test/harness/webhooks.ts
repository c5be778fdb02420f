import { randomBytes } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import { WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import { type NewEvent, recordEvents } from '#store/events.ts'
import type { DatabasePool, Db } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { webhookSecretContext } from '#store/webhooks.ts'
import { testSealer } from './secret-keys.ts'

/** A fresh signing secret. */
export const aSecret = () => `whsec_${randomBytes(32).toString('base64')}`

/** One as it is stored for an endpoint. */
export const sealedSecret = (endpointId: string, secret: string) => testSealer.seal(secret, webhookSecretContext(endpointId))

/** Whose rows are made. */
export interface Owner {
  accountId: string
  projectId: string
}

/** Makes an endpoint with its secrets; without a URL that of kind `jobs`. Returns its id. */
export async function anEndpoint(
  db: DatabasePool,
  owner: Owner,
  change: { url: string | null; secrets: readonly string[]; events?: readonly string[]; enabled?: boolean },
): Promise<string> {
  const id = newId('webhook')
  const off = change.enabled === false
  const events = sql.array([...(change.events ?? WEBHOOK_EVENTS)], 'text')
  await db.query(sql.unsafe`
    insert into webhook_endpoints (id, account_id, project_id, kind, url, events, enabled, disabled_reason, disabled_at)
    values (${id}, ${owner.accountId}, ${owner.projectId}, ${change.url === null ? 'jobs' : 'endpoint'}, ${change.url}, ${events}, ${!off},
      ${off ? 'user' : null}, ${off ? sql.fragment`now()` : null})`)
  for (const secret of change.secrets) await db.query(sql.unsafe`insert into webhook_secrets (endpoint_id, secret) values (${id}, ${sealedSecret(id, secret)})`)
  return id
}

/** Records events of a job, each in a transaction of its own. */
export async function tell(db: Db, owner: Owner, jobId: string, types: readonly string[], data: Record<string, unknown> = {}): Promise<void> {
  for (const type of types) {
    const event: NewEvent = { accountId: owner.accountId, projectId: owner.projectId, batchId: null, jobId, type, data }
    await db.transaction((tx) => recordEvents(tx, [event]))
  }
}

const DeliveryRow = Type.Object({
  id: Type.Number(),
  endpoint_id: Type.String(),
  subject: Type.String(),
  job_id: maybe(Type.String()),
  type: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
  url: maybe(Type.String()),
  state: Type.String(),
  step: Type.Number(),
  tries: Type.Number(),
  due_in_ms: maybe(Type.Number()),
  claimed: Type.Boolean(),
  last_status: maybe(Type.Number()),
  last_error: maybe(Type.String()),
})

/** Every delivery, or those of an endpoint, by id. */
export async function deliveriesOf(db: DatabasePool, endpointId?: string) {
  return db.any(sql.type(row(DeliveryRow))`
    select id, endpoint_id, subject, job_id, type, data, url, state, step, tries, (extract(epoch from next_try_at - now()) * 1000)::float8 as due_in_ms,
      claimed_until is not null as claimed, last_status, last_error
    from webhook_deliveries where ${endpointId === undefined ? sql.fragment`true` : sql.fragment`endpoint_id = ${endpointId}`} order by id`)
}

const TryRow = Type.Object({ number: Type.Number(), status: maybe(Type.Number()), error: maybe(Type.String()), response_body: maybe(Type.String()) })

/** The tries of a delivery. */
export async function triesOf(db: DatabasePool, deliveryId: number) {
  return db.any(sql.type(row(TryRow))`select number, status, error, response_body from webhook_tries where delivery_id = ${deliveryId} order by number`)
}
