import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import { recordEvents } from './events.ts'
import { lockBatch, releaseBatchHolds, settleBatch } from './holds.ts'
import type { DatabasePool, Db, Tx } from './pool.ts'
import { row } from './row.ts'

const OverdueRow = row(Type.Object({ id: Type.String(), batch_id: maybe(Type.String()) }))
const FailedRow = row(
  Type.Object({ id: Type.String(), account_id: Type.String(), project_id: Type.String(), batch_id: maybe(Type.String()), message: Type.String() }),
)

/**
 * Fails jobs that waited in the queue longer than their `maxQueueSeconds`; returns how many jobs of their batches came
 * free by it, and how many failed. Each batch in a transaction of its own, locked first.
 */
export async function failOverdue(db: DatabasePool, limit = 1000): Promise<{ failed: number; queued: number }> {
  const overdue = await db.any(sql.type(OverdueRow)`select id, batch_id from jobs where queue_until <= now() order by queue_until limit ${limit}`)
  const groups = Map.groupBy(overdue, (job) => job.batch_id)
  let failed = 0
  let queued = 0
  for (const [batchId, jobs] of groups) {
    await db.transaction(async (tx) => {
      if (batchId !== null) await lockBatch(tx, batchId)
      failed += await failJobs(
        tx,
        jobs.map((job) => job.id),
      )
      if (batchId === null) return
      await settleBatch(tx, batchId)
      queued += await releaseBatchHolds(tx, batchId)
    })
  }
  return { failed, queued }
}

/** SKIP LOCKED: a job that a claim holds at this moment has found its slot. */
async function failJobs(tx: Tx, jobIds: readonly string[]): Promise<number> {
  const message = sql.fragment`'it waited for a slot longer than maxQueueSeconds (' || (j.spec ->> 'maxQueueSeconds') || ' s)'`
  const failed = await tx.any(sql.type(FailedRow)`
    with due as (
      select id from jobs where id = any(${sql.array([...jobIds], 'text')}) and state = 'queued' and queue_until <= now() for no key update skip locked
    )
    update jobs j set state = 'failed', cause = 'queue_timeout', queue_until = null, reason = null, finished_at = now(), message = ${message}
    from due where j.id = due.id
    returning j.id, j.account_id, j.project_id, j.batch_id, j.message`)
  await recordEvents(
    tx,
    failed.map((job) => ({
      accountId: job.account_id,
      projectId: job.project_id,
      batchId: job.batch_id,
      jobId: job.id,
      type: 'job.failed',
      data: { state: 'failed', cause: 'queue_timeout', exitCode: null, message: job.message },
    })),
  )
  return failed.length
}

/** In how many milliseconds the next queued job is overdue; undefined when none has a limit. */
export async function nextOverdueMs(db: Db): Promise<number | undefined> {
  const next = await db.maybeOneFirst(sql.type(row(Type.Object({ in_ms: Type.Number() })))`
    select greatest(0, extract(epoch from queue_until - now()) * 1000)::float8 as in_ms from jobs where queue_until is not null order by queue_until limit 1`)
  return next ?? undefined
}
