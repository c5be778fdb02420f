import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { DatabasePool, Db } from './pool.ts'
import { row } from './row.ts'

/** How an endpoint does: it was just quick, nothing is known of it yet, or it is failing or slow. */
export type DeliveryLane = 'quick' | 'new' | 'slow'

const Claimed = Type.Object({
  id: Type.Number(),
  endpointId: Type.String(),
  accountId: Type.String(),
  kind: Type.Unsafe<'endpoint' | 'jobs'>(Type.String()),
  eventId: maybe(Type.Number()),
  type: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
  url: Type.String(),
  createdAt: Type.String(),
  step: Type.Number(),
  lane: Type.Unsafe<DeliveryLane>(Type.String()),
  secrets: Type.Array(Type.String()),
  claim: Type.String(),
})
/**
 * A delivery that this process alone may send until its claim is over. `step` is how many tries of its schedule are
 * behind it, `secrets` sign it, sealed (see webhookSecretContext), the newest first; `claim` goes with the result.
 */
export type ClaimedDelivery = Static<typeof Claimed>

const Ids = Type.Array(Type.Number())
const ClaimRow = row(Type.Object({ deliveries: Type.Array(Claimed), followers: Ids, crowded: Ids, orphaned: Type.Array(Type.String()) }))

/** What a process may still take: in all, of it for endpoints that are not quick, of that for slow ones, and for each destination that it knows. */
export interface DeliveryRoom {
  slots: number
  /** What one account may still take: those that are listed so many, any other `accountSlots`. */
  accountSlots: number
  accounts: { id: string; room: number }[]
  unprovenSlots: number
  slowSlots: number
  /** Others are new. See `destinationOf`. */
  destinations: { id: string; limit: number; inFlight: number; lane: DeliveryLane }[]
}

/** What a claim brought; `again` when more may be due than was looked at. */
export interface DeliveryClaim {
  deliveries: ClaimedDelivery[]
  again: boolean
}

/** Due deliveries of an endpoint that are looked at beyond those it has room for; of one with many addresses, in all. */
const LOOK_AHEAD = 16
const LOOK_AHEAD_JOBS = 64

/** Whose doings count together: an endpoint's or, where each job has an address of its own, those of a server. */
export function destinationOf(delivery: Pick<ClaimedDelivery, 'endpointId' | 'kind' | 'url'>): string {
  return delivery.kind === 'jobs' ? `${delivery.endpointId} ${/^[^/]*\/\/[^/]*/.exec(delivery.url)?.[0] ?? ''}` : delivery.endpointId
}

/**
 * Takes due deliveries for `leaseMs`, the longest due first, several processes at once. Of an endpoint and subject only the
 * oldest that is pending. Those behind it wait out of the way until it is settled, so that a long queue is not read each time.
 */
export async function claimDeliveries(db: DatabasePool, room: DeliveryRoom, leaseMs: number): Promise<DeliveryClaim> {
  const found = await db.one(sql.type(ClaimRow)`
    with recursive known as materialized (
      select * from jsonb_to_recordset(${JSON.stringify(room.destinations)}::jsonb) as k(id text, "limit" int, "inFlight" int, lane text)
    ), ends as (
      (select endpoint_id from webhook_deliveries where state = 'pending' order by endpoint_id limit 1)
      union all
      select (select d.endpoint_id from webhook_deliveries d where d.state = 'pending' and d.endpoint_id > e.endpoint_id order by d.endpoint_id limit 1)
      from ends e where e.endpoint_id is not null
    ), open as (
      select w.id, w.kind, w.account_id, coalesce(a.room, ${room.accountSlots}::int) as account_room, w.enabled, f.lane, case when f.lane = 'quick' then k.limit else 1 end - coalesce(k."inFlight", 0) as room
      from ends e join webhook_endpoints w on w.id = e.endpoint_id
      left join known k on k.id = w.id
      left join jsonb_to_recordset(${JSON.stringify(room.accounts)}::jsonb) as a(id text, room int) on a.id = w.account_id
      cross join lateral (select case when w.failing_since is not null then 'slow' else coalesce(k.lane, 'new') end as lane) f
    ), due as (
      select d.id, o.id as endpoint_id, o.account_id, o.account_room, d.next_try_at, o.kind, t.id as destination, t.lane, t.room, d.id = head.id as first
      from open o
      cross join lateral (
        select x.id, x.subject, x.next_try_at, x.url from webhook_deliveries x
        where x.endpoint_id = o.id and x.state = 'pending' and x.next_try_at <= now() and (x.claimed_until is null or x.claimed_until <= now())
        order by x.next_try_at, x.id limit case o.kind when 'jobs' then ${LOOK_AHEAD_JOBS}::int else o.room + ${LOOK_AHEAD}::int end
      ) d
      cross join lateral (
        select h.id from webhook_deliveries h where h.endpoint_id = o.id and h.subject = d.subject and h.state = 'pending' order by h.id limit 1
      ) head
      cross join lateral (
        select o.id, o.lane, o.room where o.kind = 'endpoint'
        union all
        select s.id, coalesce(k.lane, 'new'), case k.lane when 'quick' then k.limit else 1 end - coalesce(k."inFlight", 0)
        from (select o.id || ' ' || coalesce(substring(d.url from '^[^/]*//[^/]*'), '') as id) s left join known k on k.id = s.id
        where o.kind = 'jobs'
      ) t
      where o.enabled and (o.kind = 'jobs' or o.room > 0)
    ), heads as (
      select *, row_number() over (partition by destination order by next_try_at, id) as place from due where first
    ), fitting as (
      select *, row_number() over (partition by lane order by next_try_at, id) as lane_place
      from heads where place <= room
    ), bounded as (
      select *, row_number() over (partition by lane = 'quick' order by next_try_at, id) as unproven_place
      from (
        select *, row_number() over (partition by account_id order by lane <> 'quick', next_try_at, id) as account_place
        from fitting where lane <> 'slow' or lane_place <= ${room.slowSlots}
      ) b
      where account_place <= account_room
    ), chosen as (
      select id, lane from bounded where lane = 'quick' or unproven_place <= ${room.unprovenSlots} order by next_try_at, id limit ${room.slots}
    ), locked as (
      select d.id from webhook_deliveries d
      where d.id in (select id from chosen) and d.state = 'pending' and d.next_try_at <= now() and (d.claimed_until is null or d.claimed_until <= now())
      for no key update skip locked
    ), claimed as (
      update webhook_deliveries d set claimed_until = date_trunc('milliseconds', now()) + make_interval(secs => ${leaseMs / 1000})
      from locked l where d.id = l.id returning d.*
    )
    select
      coalesce((select jsonb_agg(jsonb_build_object('id', c.id, 'endpointId', c.endpoint_id, 'accountId', w.account_id, 'kind', w.kind, 'eventId', c.event_id, 'type', c.type,
          'data', c.data, 'url', coalesce(c.url, w.url), 'createdAt', c.created_at, 'step', c.step, 'lane', n.lane, 'claim', c.claimed_until,
          'secrets', array(select s.secret from webhook_secrets s where s.endpoint_id = w.id and (s.expires_at is null or s.expires_at > now()) order by s.id desc)
        ) order by c.next_try_at, c.id)
        from claimed c join webhook_endpoints w on w.id = c.endpoint_id join chosen n on n.id = c.id), '[]'::jsonb) as deliveries,
      array(select id from due where not first) as followers,
      array(select id from heads where place > room and lane = 'slow' and kind = 'jobs') as crowded,
      array(select id from open where not enabled) as orphaned`)
  if (found.followers.length > 0) await parkFollowers(db, found.followers)
  if (found.crowded.length > 0) await putOff(db, found.crowded)
  if (found.orphaned.length > 0) await failOrphans(db, found.orphaned)
  return { deliveries: found.deliveries, again: found.deliveries.length > 0 || found.followers.length > 0 || found.crowded.length > 0 }
}

const IdRow = row(Type.Object({ id: Type.Number() }))

/**
 * Puts off deliveries that wait for an older one of their subject: until that one's time or, where it is under way, for a
 * short while, as whoever settles it calls them up. In two statements: the second sees whether the older one was settled
 * while the first waited for the rows, and who settles it later waits for these rows and calls them up.
 */
async function parkFollowers(db: DatabasePool, ids: readonly number[]): Promise<void> {
  await db.transaction(async (tx) => {
    const locked = await tx.anyFirst(sql.type(IdRow)`
      select id from webhook_deliveries
      where id = any(${sql.array([...ids], 'int8')}) and state = 'pending' and (claimed_until is null or claimed_until <= now())
      order by id for no key update skip locked`)
    await tx.query(sql.unsafe`
      update webhook_deliveries d set next_try_at = greatest(head.next_try_at, now() + case when w.failing_since is null then interval '2 s' else interval '30 s' end)
      from webhook_deliveries x join webhook_endpoints w on w.id = x.endpoint_id
      cross join lateral (
        select h.id, h.next_try_at from webhook_deliveries h
        where h.endpoint_id = x.endpoint_id and h.subject = x.subject and h.state = 'pending' order by h.id limit 1
      ) head
      where d.id = any(${sql.array([...locked], 'int8')}) and x.id = d.id and head.id < x.id`)
  })
}

// For a slow server of a project's jobs, so that those for its others are seen behind them.
async function putOff(db: Db, ids: readonly number[]): Promise<void> {
  await db.query(sql.unsafe`
    update webhook_deliveries set next_try_at = now() + interval '15 s'
    where id in (
      select id from webhook_deliveries
      where id = any(${sql.array([...ids], 'int8')}) and state = 'pending' and (claimed_until is null or claimed_until <= now())
      order by id for no key update skip locked)`)
}

// Written by a transaction that still saw the endpoint switched on.
async function failOrphans(db: Db, endpointIds: readonly string[]): Promise<void> {
  await db.query(sql.unsafe`
    update webhook_deliveries set state = 'failed', finished_at = now(), next_try_at = null, claimed_until = null, last_error = 'the endpoint is switched off'
    where id in (
      select d.id from webhook_deliveries d join webhook_endpoints w on w.id = d.endpoint_id and not w.enabled
      where d.endpoint_id = any(${sql.array([...endpointIds], 'text')}) and d.state = 'pending' limit 1000 for no key update of d skip locked)`)
}

/** Gives claimed deliveries back, unsent: they are due again. */
export async function releaseDeliveries(db: Db, deliveries: readonly Pick<ClaimedDelivery, 'id' | 'claim'>[]): Promise<void> {
  await db.query(sql.unsafe`
    update webhook_deliveries d set claimed_until = null
    from jsonb_to_recordset(${JSON.stringify(deliveries)}::jsonb) as c(id int8, claim timestamptz)
    where d.id = c.id and d.claimed_until = c.claim`)
}
