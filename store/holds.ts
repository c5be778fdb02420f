import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { recordEvents } from './events.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const JobRef = row(
  Type.Object({
    id: Type.String(),
    account_id: Type.String(),
    project_id: Type.String(),
    batch_id: Type.Union([Type.String(), Type.Null()]),
    state: Type.String(),
  }),
)
const Nothing = Type.Union([Type.Number(), Type.Null()])
const BatchRow = row(
  Type.Object({
    id: Type.String(),
    account_id: Type.String(),
    project_id: Type.String(),
    size: Type.Number(),
    parallel: Nothing,
    max_failures: Nothing,
    finished_at: Type.Union([Type.String(), Type.Null()]),
  }),
)
const CountRow = row(Type.Object({ count: Type.Number() }))
const StateCount = row(Type.Object({ state: Type.String(), count: Type.Number() }))
const DueRow = row(Type.Object({ in_ms: Type.Number() }))

/** When the stay in the queue that begins now is over; null without a limit. `j` is the job. */
export const QUEUE_UNTIL = sql.fragment`now() + make_interval(secs => (j.spec ->> 'maxQueueSeconds')::float8)`

/** Locks a batch. Whoever changes jobs of a batch locks the batch first, so that two never wait for each other. */
export async function lockBatch(tx: Tx, batchId: string): Promise<void> {
  await tx.query(sql.unsafe`select 1 from batches where id = ${batchId} for no key update`)
}

/**
 * Lets as many held jobs of the batch into the queue as its `parallel` allows; returns how many. Jobs that wait for
 * a retry count as under way: they come back by themselves. The caller has locked the batch.
 */
export async function releaseBatchHolds(tx: Tx, batchId: string): Promise<number> {
  const released = await tx.any(sql.type(JobRef)`
    with room as (
      select greatest(0, b.parallel - (
        select count(*) from jobs where batch_id = b.id and (state in ('queued', 'running') or (state = 'held' and hold <> 'batch'))
      )) as jobs
      from batches b where b.id = ${batchId} and b.parallel is not null
    ), next as (
      select id from jobs where batch_id = ${batchId} and state = 'held' and hold = 'batch'
      order by batch_index limit (select jobs from room) for no key update
    )
    update jobs j set
      state = case when (j.spec ->> 'notBefore')::timestamptz > now() then 'held' else 'queued' end,
      hold = case when (j.spec ->> 'notBefore')::timestamptz > now() then 'not_before' end,
      hold_until = case when (j.spec ->> 'notBefore')::timestamptz > now() then (j.spec ->> 'notBefore')::timestamptz end,
      reason = case when (j.spec ->> 'notBefore')::timestamptz > now() then 'held: not before ' || (j.spec ->> 'notBefore') else 'waiting for a slot' end,
      queue_until = case when (j.spec ->> 'notBefore')::timestamptz > now() then null else ${QUEUE_UNTIL} end
    from next where j.id = next.id
    returning j.id, j.account_id, j.project_id, j.batch_id, j.state`)
  const queued = released.filter((job) => job.state === 'queued')
  await recordEvents(
    tx,
    queued.map((job) => queuedEvent(job, 'batch')),
  )
  return queued.length
}

/**
 * Ends what a change of one of its jobs ends in a batch: cancels the rest when `max_failures` is reached, and marks
 * the batch finished when nothing is left. The caller has locked the batch. Returns how many jobs it cancelled.
 */
export async function settleBatch(tx: Tx, batchId: string): Promise<number> {
  const batch = await tx.one(
    sql.type(BatchRow)`select id, account_id, project_id, size, parallel, max_failures, finished_at from batches where id = ${batchId}`,
  )
  if (batch.finished_at !== null) return 0
  let cancelled = 0
  if (batch.max_failures !== null) {
    const failed = await tx.oneFirst(sql.type(CountRow)`select count(*) as count from jobs where batch_id = ${batchId} and state = 'failed'`)
    if (failed >= batch.max_failures) cancelled = await cancelWaiting(tx, batchId, `${failed} jobs of the batch failed, at most ${batch.max_failures} may`)
  }
  const open = await tx.exists(sql.unsafe`select 1 from jobs where batch_id = ${batchId} and finished_at is null`)
  if (open) return cancelled
  await tx.query(sql.unsafe`update batches set finished_at = now() where id = ${batchId}`)
  const rows = await tx.any(sql.type(StateCount)`select state, count(*) as count from jobs where batch_id = ${batchId} group by state`)
  const counts = Object.fromEntries(rows.map((entry) => [entry.state, entry.count]))
  await recordEvents(tx, [
    { accountId: batch.account_id, projectId: batch.project_id, batchId, jobId: null, type: 'batch.completed', data: { size: batch.size, counts } },
  ])
  return cancelled
}

/** Cancels every job of the batch that no node has; returns how many. The caller has locked the batch. */
async function cancelWaiting(tx: Tx, batchId: string, message: string): Promise<number> {
  const jobs = await tx.any(sql.type(JobRef)`
    update jobs set state = 'cancelled', cause = 'cancelled', finished_at = now(), hold = null, hold_until = null, queue_until = null, reason = null, message = ${message}
    where batch_id = ${batchId} and state in ('held', 'queued')
    returning id, account_id, project_id, batch_id, state`)
  await recordEvents(
    tx,
    jobs.map((job) => ({
      accountId: job.account_id,
      projectId: job.project_id,
      batchId: job.batch_id,
      jobId: job.id,
      type: 'job.cancelled',
      data: { state: 'cancelled', cause: 'cancelled', exitCode: null, message },
    })),
  )
  return jobs.length
}

/** Lets jobs whose time has come into the queue (backoff, notBefore); returns how many. */
export async function releaseDueHolds(db: Db, limit = 1000): Promise<number> {
  return db.transaction(async (tx) => {
    const due = await tx.any(sql.type(JobRef)`
      with due as (
        select id from jobs where hold_until <= now() and state = 'held' order by hold_until limit ${limit} for no key update skip locked
      )
      update jobs j set state = 'queued', hold = null, hold_until = null, reason = 'waiting for a slot', queue_until = ${QUEUE_UNTIL}
      from due where j.id = due.id
      returning j.id, j.account_id, j.project_id, j.batch_id, j.state`)
    await recordEvents(
      tx,
      due.map((job) => queuedEvent(job, 'time')),
    )
    return due.length
  })
}

/** In how many milliseconds the next held job is due; undefined when none waits for a time. */
export async function nextHoldDueMs(db: Db): Promise<number | undefined> {
  const next = await db.maybeOneFirst(sql.type(DueRow)`
    select greatest(0, extract(epoch from hold_until - now()) * 1000)::float8 as in_ms from jobs where hold_until is not null order by hold_until limit 1`)
  return next ?? undefined
}

/** How many jobs are queued, counted up to `limit`. */
export async function countQueued(db: Db, limit: number): Promise<number> {
  return db.oneFirst(sql.type(CountRow)`select count(*) as count from (select 1 from jobs where state = 'queued' limit ${limit}) as queued`)
}

function queuedEvent(job: { id: string; account_id: string; project_id: string; batch_id: string | null }, released: string) {
  return { accountId: job.account_id, projectId: job.project_id, batchId: job.batch_id, jobId: job.id, type: 'job.queued', data: { state: 'queued', released } }
}
