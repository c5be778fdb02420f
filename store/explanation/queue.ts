import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { Db } from '../pool.ts'
import { row } from '../row.ts'

/** What the queued jobs of a project have in common. */
export interface QueueFacts {
  /** The limit of running jobs that is reached. */
  quota: { scope: 'account' | 'project'; limit: number; running: number } | null
  /** How many jobs of the account ended in a second, of late; null when too few did. */
  perSecond: number | null
}

/** How fast jobs end is measured over so long, and over so many of a project. */
const RATE_SECONDS = 600
const RATE_JOBS = 1000
/** Fewer say nothing about the next ones. */
const MIN_ENDED = 5

const QueueRow = row(
  Type.Object({
    account_limit: maybe(Type.Number()),
    account_running: Type.Number(),
    project_limit: maybe(Type.Number()),
    project_running: Type.Number(),
    ended: Type.Number(),
    seconds: maybe(Type.Number()),
  }),
)

/** Reads them; of the project's account nothing but its own. */
export async function readQueueFacts(db: Db, projectId: string): Promise<QueueFacts> {
  const found = await db.one(sql.type(QueueRow)`
    with ended as materialized (
      select e.finished_at from projects p join projects o on o.account_id = p.account_id cross join lateral (
        select finished_at from jobs where project_id = o.id and finished_at > now() - make_interval(secs => ${RATE_SECONDS}) and state <> 'cancelled'
        order by finished_at desc limit ${RATE_JOBS}
      ) e where p.id = ${projectId}
    )
    select coalesce(a.running_jobs, d.running_jobs) as account_limit, l.running_jobs as project_limit,
      (select count(*) from attempts where account_id = p.account_id and finished_at is null) as account_running,
      (select count(*) from attempts r join jobs j on j.id = r.job_id where r.account_id = p.account_id and r.finished_at is null and j.project_id = p.id)
        as project_running,
      (select count(*) from ended) as ended,
      (select greatest(1, extract(epoch from now() - min(finished_at)))::float8 from ended) as seconds
    from projects p join limits d on d.id = 'default' left join limits a on a.id = p.account_id left join limits l on l.id = p.id
    where p.id = ${projectId}`)
  return { quota: reached(found), perSecond: found.ended < MIN_ENDED || found.seconds === null ? null : found.ended / found.seconds }
}

function reached(found: { account_limit: number | null; account_running: number; project_limit: number | null; project_running: number }): QueueFacts['quota'] {
  if (found.account_limit !== null && found.account_running >= found.account_limit)
    return { scope: 'account', limit: found.account_limit, running: found.account_running }
  if (found.project_limit !== null && found.project_running >= found.project_limit)
    return { scope: 'project', limit: found.project_limit, running: found.project_running }
  return null
}

const UnderWayRow = row(Type.Object({ id: Type.String(), parallel: Type.Number(), under_way: Type.Number() }))

/** Of batches that hold jobs back: how many may be under way at once, and are. Counted as store/holds.ts does. */
export async function readUnderWay(db: Db, batchIds: readonly string[]): Promise<Map<string, { parallel: number; underWay: number }>> {
  if (batchIds.length === 0) return new Map()
  const rows = await db.any(sql.type(UnderWayRow)`
    select b.id, coalesce(b.parallel, b.size) as parallel,
      (select count(*) from jobs where batch_id = b.id and (state in ('queued', 'running') or (state = 'held' and hold <> 'batch'))) as under_way
    from batches b where b.id = any(${sql.array([...batchIds], 'text')})`)
  return new Map(rows.map((batch) => [batch.id, { parallel: batch.parallel, underWay: batch.under_way }]))
}
