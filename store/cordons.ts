import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Cause } from '#core/job/state.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** What failed longer ago is forgotten. */
export const FAULT_SECONDS = 900
/** The newest faults that are looked at: more speak of no single node. */
const MAX_FAULTS = 1000
/** Jobs that did well on a node are counted to here. */
const MAX_DONE = 1000

const FaultRow = row(Type.Object({ node_id: Type.String(), job_id: Type.String(), cause: Type.Unsafe<Cause>(Type.String()), at_ms: Type.Number() }))

/** An attempt that failed by the fault of its node. Milliseconds since 1970 by the clock of Postgres. */
export interface NodeFault {
  nodeId: string
  jobId: string
  cause: Cause
  atMs: number
}

/**
 * Faults of nodes in the last 15 minutes, since they were let take work, that another node gave the lie: it alone failed the job, and
 * with the same image the job has ended elsewhere by itself, or came further. What fails everywhere, or is never tried elsewhere, is
 * not among them: so neither an outage nor a job can speak against a node.
 */
export async function provenFaults(db: Db): Promise<NodeFault[]> {
  const rows = await db.any(sql.type(FaultRow)`
    with faults as materialized (
      select a.* from attempts a join nodes n on n.id = a.node_id
      where a.node_fault and a.finished_at > now() - make_interval(secs => ${FAULT_SECONDS}) and (n.trusted_from is null or a.finished_at > n.trusted_from)
        and n.ended_at is null and n.cordoned_at is null
      order by a.finished_at desc limit ${MAX_FAULTS}
    )
    select f.node_id, f.job_id, f.cause, (extract(epoch from f.finished_at) * 1000)::float8 as at_ms from faults f
    where not exists (select 1 from attempts o where o.job_id = f.job_id and o.node_id <> f.node_id and o.node_fault)
      and exists (
        select 1 from attempts b
        where b.job_id = f.job_id and b.number > f.number and b.node_id <> f.node_id and b.started_at is not null
          and (f.image_digest is null or b.image_digest = f.image_digest)
          and (b.cause in ('exit', 'timeout', 'oom') or b.finished_at is null
            and now() - b.started_at > coalesce(f.finished_at - f.started_at, interval '0')))`)
  return rows.map((found) => ({ nodeId: found.node_id, jobId: found.job_id, cause: found.cause, atMs: found.at_ms }))
}

const FleetRow = row(Type.Object({ id: Type.String(), working: Type.Boolean(), cordoned: Type.Boolean(), jobs_done: Type.Number() }))

/** A node that works, or would if it were not lost, or cordoned. */
export interface FleetNode {
  nodeId: string
  working: boolean
  cordoned: boolean
  /** Of the nodes that were asked about: jobs whose containers ended there by themselves while faults are looked at. Else 0. */
  jobsDone: number
}

/** The nodes that work, those that are cordoned, and of the lost ones those of `suspects`. */
export async function fleetOf(db: Db, suspects: readonly string[]): Promise<FleetNode[]> {
  const asked = sql.array([...suspects], 'text')
  const rows = await db.any(sql.type(FleetRow)`
    select n.id, n.state = 'ready' and n.cordoned_at is null as working, n.cordoned_at is not null as cordoned,
      case when n.id = any(${asked}) then (
        select count(*) from (
          select 1 from attempts a where a.node_id = n.id and a.cause in ('exit', 'timeout', 'oom')
            and a.finished_at > greatest(n.trusted_from, now() - make_interval(secs => ${FAULT_SECONDS})) limit ${MAX_DONE}
        ) done
      ) else 0 end::int as jobs_done
    from nodes n
    where n.ended_at is null and (n.cordoned_at is not null or n.drain_requested_at is null and (n.state = 'ready' or n.state = 'lost' and n.id = any(${asked})))
    order by n.id`)
  return rows.map((found) => ({ nodeId: found.id, working: found.working, cordoned: found.cordoned, jobsDone: found.jobs_done }))
}

/** Gives a node no more work, of our own accord; false when it takes none already. */
export async function cordonNode(db: Db, nodeId: string, reason: string): Promise<boolean> {
  const result = await db.query(sql.unsafe`
    update nodes set cordoned_at = now(), cordon_reason = ${reason}, drain_requested_at = now(), drain_planned = false,
      state = case when state = 'ready' then 'draining' else state end
    where id = ${nodeId} and state in ('ready', 'lost') and drain_requested_at is null`)
  return result.rowCount > 0
}

/** Lets nodes that were set up by hand take work again that have been cordoned for so long; returns which. */
export async function liftCordons(db: Db, afterSeconds: number): Promise<string[]> {
  const rows = await db.any(sql.type(row(Type.Object({ id: Type.String() })))`
    update nodes set cordoned_at = null, cordon_reason = null, trusted_from = now(), drain_requested_at = null,
      state = case when state = 'draining' then 'ready' else state end
    where cordoned_at < now() - make_interval(secs => ${afterSeconds}) and provider is null and ended_at is null returning id`)
  return rows.map(({ id }) => id)
}
