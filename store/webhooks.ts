import { randomBytes } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { Sealer } from '#core/sealer.ts'
import type { WebhookEvent, WebhookView } from '#core/webhook-api.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** Endpoints of one project. */
export const MAX_WEBHOOKS = 50

const ViewRow = row(Type.Object({ view: Type.Unsafe<WebhookView>(Type.Any()) }))
const IdRow = row(Type.Object({ id: Type.String() }))
const CountRow = row(Type.Object({ count: Type.Number() }))

const time = (expression: ReturnType<typeof sql.fragment>) => sql.fragment`to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

// The gateway may not read the secrets, only when they were made and until when they sign.
const VIEW = sql.fragment`
  jsonb_build_object('id', w.id, 'kind', w.kind, 'url', w.url, 'description', w.description, 'events', w.events, 'enabled', w.enabled,
    'disabledReason', w.disabled_reason, 'disabledAt', ${time(sql.fragment`w.disabled_at`)}, 'failingSince', ${time(sql.fragment`w.failing_since`)},
    'secrets', coalesce((
      select jsonb_agg(jsonb_build_object('createdAt', ${time(sql.fragment`s.created_at`)}, 'expiresAt', ${time(sql.fragment`s.expires_at`)}) order by s.id desc)
      from webhook_secrets s where s.endpoint_id = w.id and (s.expires_at is null or s.expires_at > now())), '[]'::jsonb),
    'createdAt', ${time(sql.fragment`w.created_at`)}) as view`

/** What an endpoint is made of. */
export interface NewWebhook {
  kind: WebhookView['kind']
  url: string | null
  events: readonly WebhookEvent[]
  description: string | null
}

/** How making one can end: `full` when the project has as many as it may, `exists` when it has one for jobs already. */
export type CreatedWebhook = { status: 'full' } | { status: 'exists' } | { status: 'ok'; webhook: WebhookView; secret: string }

/** Makes an endpoint, and its secret, which nobody can read afterwards. */
export async function createWebhook(
  db: Db,
  sealer: Pick<Sealer, 'seal'>,
  owner: { accountId: string; projectId: string },
  made: NewWebhook,
): Promise<CreatedWebhook> {
  return db.transaction(async (tx) => {
    // Two at once would both see room for one more.
    await tx.query(sql.unsafe`select pg_advisory_xact_lock(hashtextextended(${`webhooks:${owner.projectId}`}, 0))`)
    const count = await tx.oneFirst(sql.type(CountRow)`select count(*)::int as count from webhook_endpoints where project_id = ${owner.projectId}`)
    if (count >= MAX_WEBHOOKS) return { status: 'full' }
    const id = await tx.maybeOneFirst(sql.type(IdRow)`
      insert into webhook_endpoints (id, account_id, project_id, kind, url, description, events)
      values (${newId('webhook')}, ${owner.accountId}, ${owner.projectId}, ${made.kind}, ${made.url}, ${made.description}, ${sql.array([...made.events], 'text')})
      on conflict (project_id) where kind = 'jobs' do nothing
      returning id`)
    if (!id) return { status: 'exists' }
    const secret = await addSecret(tx, sealer, id)
    return { status: 'ok', webhook: (await readWebhook(tx, owner.projectId, id)) as WebhookView, secret }
  })
}

/** The place of an endpoint's secrets, for the seal. */
export function webhookSecretContext(endpointId: string): string {
  return `webhook/${endpointId}`
}

async function addSecret(tx: Tx, sealer: Pick<Sealer, 'seal'>, id: string): Promise<string> {
  const secret = `whsec_${randomBytes(32).toString('base64')}`
  await tx.query(sql.unsafe`insert into webhook_secrets (endpoint_id, secret) values (${id}, ${sealer.seal(secret, webhookSecretContext(id))})`)
  return secret
}

/** A page of the endpoints of a project, the oldest first. */
export async function listWebhooks(db: Db, projectId: string, { after = '', limit }: PageWish<string>): Promise<Page<WebhookView, string>> {
  const rows = await db.anyFirst(
    sql.type(ViewRow)`select ${VIEW} from webhook_endpoints w where project_id = ${projectId} and id > ${after} order by id limit ${limit + 1}`,
  )
  return toPage(
    rows,
    limit,
    (view) => view,
    ({ id }) => id,
  )
}

/** An endpoint of the project; undefined when it has none of this id. */
export async function readWebhook(db: Db, projectId: string, id: string): Promise<WebhookView | undefined> {
  return (await db.maybeOneFirst(sql.type(ViewRow)`select ${VIEW} from webhook_endpoints w where id = ${id} and project_id = ${projectId}`)) ?? undefined
}

/** Whether the project has the endpoint that signs what jobs ask for themselves. */
export async function hasJobsWebhook(db: Db, projectId: string): Promise<boolean> {
  return db.exists(sql.unsafe`select 1 from webhook_endpoints where project_id = ${projectId} and kind = 'jobs'`)
}

/** What may be changed; absent stays. */
export interface WebhookChange {
  url?: string | undefined
  events?: readonly WebhookEvent[] | undefined
  description?: string | null | undefined
  enabled?: boolean | undefined
}

/** Changes an endpoint; one with another address has failed nothing yet. One that is switched off sends nothing any more; what waited for it has failed, and can be sent again. */
export async function changeWebhook(db: Db, projectId: string, id: string, change: WebhookChange): Promise<WebhookView | undefined> {
  return db.transaction(async (tx) => {
    const was = await tx.maybeOne(sql.type(row(Type.Object({ enabled: Type.Boolean() })))`
      select enabled from webhook_endpoints where id = ${id} and project_id = ${projectId} for update`)
    if (!was) return undefined
    await tx.query(sql.unsafe`
      update webhook_endpoints set url = coalesce(${change.url ?? null}, url),
        events = coalesce(${change.events === undefined ? null : sql.array([...change.events], 'text')}, events),
        description = ${change.description === undefined ? sql.fragment`description` : change.description},
        failing_since = ${change.url === undefined ? sql.fragment`failing_since` : null}
      where id = ${id}`)
    if (change.enabled === true && !was.enabled)
      await tx.query(sql.unsafe`update webhook_endpoints set enabled = true, disabled_reason = null, disabled_at = null, failing_since = null where id = ${id}`)
    if (change.enabled === false && was.enabled) await disable(tx, id)
    return readWebhook(tx, projectId, id)
  })
}

async function disable(tx: Tx, id: string): Promise<void> {
  await tx.query(sql.unsafe`update webhook_endpoints set enabled = false, disabled_reason = 'user', disabled_at = now() where id = ${id}`)
  await tx.query(sql.unsafe`
    update webhook_deliveries set state = 'failed', finished_at = now(), next_try_at = null, claimed_until = null, last_error = 'the endpoint was switched off by hand'
    where endpoint_id = ${id} and state = 'pending'`)
}

/** Takes an endpoint away, with its secrets and the record of its deliveries. False when the project has none of this id. */
export async function deleteWebhook(db: Db, projectId: string, id: string): Promise<boolean> {
  const result = await db.query(sql.unsafe`delete from webhook_endpoints where id = ${id} and project_id = ${projectId}`)
  return result.rowCount > 0
}

/** Makes a new secret; the one before it signs too for so long, older ones no more. Undefined when the project has none of this id. */
export async function rotateWebhook(
  db: Db,
  sealer: Pick<Sealer, 'seal'>,
  projectId: string,
  id: string,
  overlapSeconds: number,
): Promise<{ webhook: WebhookView; secret: string } | undefined> {
  return db.transaction(async (tx) => {
    const found = await tx.maybeOne(sql.type(IdRow)`select id from webhook_endpoints where id = ${id} and project_id = ${projectId} for update`)
    if (!found) return undefined
    await tx.query(sql.unsafe`
      update webhook_secrets set expires_at = case when expires_at is null then now() + make_interval(secs => ${overlapSeconds}) else now() end
      where endpoint_id = ${id} and (expires_at is null or expires_at > now())`)
    const secret = await addSecret(tx, sealer, id)
    return { webhook: (await readWebhook(tx, projectId, id)) as WebhookView, secret }
  })
}
