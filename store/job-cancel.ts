import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import { recordEvents } from './events.ts'
import { lockBatch, releaseBatchHolds, settleBatch } from './holds.ts'
import type { Tx } from './pool.ts'
import { row } from './row.ts'

const CancelledRow = row(
  Type.Object({
    id: Type.String(),
    account_id: Type.String(),
    project_id: Type.String(),
    batch_id: maybe(Type.String()),
    state: Type.String(),
    node_id: maybe(Type.String()),
    attempt_id: maybe(Type.String()),
    again: Type.Boolean(),
  }),
)

/** What a cancel did: jobs that ended, jobs that were asked to; `running` says whom to tell, `queued` jobs of the batch came free by it. */
export interface Cancelled {
  ended: number
  requested: number
  running: { nodeId: string; attemptId: string }[]
  queued: number
}

/** Cancels one job of the project; undefined when there is none of this id that has not ended. */
export async function cancelJob(tx: Tx, projectId: string, jobId: string): Promise<Cancelled | undefined> {
  const found = await tx.maybeOne(sql.type(row(Type.Object({ batch_id: maybe(Type.String()) })))`
    select batch_id from jobs where id = ${jobId} and project_id = ${projectId} and finished_at is null`)
  if (!found) return undefined
  if (found.batch_id !== null) await lockBatch(tx, found.batch_id)
  const cancelled = await cancelWhere(tx, sql.fragment`id = ${jobId}`)
  if (cancelled.ended + cancelled.requested === 0) return undefined
  if (found.batch_id === null) return cancelled
  await settleBatch(tx, found.batch_id)
  return { ...cancelled, queued: await releaseBatchHolds(tx, found.batch_id) }
}

/** Cancels every job of a batch of the project that has not ended, in one statement; undefined when there is no such batch. */
export async function cancelBatch(tx: Tx, projectId: string, batchId: string): Promise<Cancelled | undefined> {
  const batch = await tx.maybeOne(sql.type(row(Type.Object({ account_id: Type.String() })))`
    select account_id from batches where id = ${batchId} and project_id = ${projectId}`)
  if (!batch) return undefined
  await lockBatch(tx, batchId)
  const cancelled = await cancelWhere(tx, sql.fragment`batch_id = ${batchId}`)
  if (cancelled.ended + cancelled.requested > 0) {
    await recordEvents(tx, [
      {
        accountId: batch.account_id,
        projectId,
        batchId,
        jobId: null,
        type: 'batch.cancelled',
        data: { ended: cancelled.ended, requested: cancelled.requested },
      },
    ])
  }
  await settleBatch(tx, batchId)
  return cancelled
}

async function cancelWhere(tx: Tx, condition: ReturnType<typeof sql.fragment>): Promise<Cancelled> {
  const rows = await tx.any(sql.type(CancelledRow)`
    with changed as (
      update jobs j set
        cancel_requested_at = coalesce(j.cancel_requested_at, clock_timestamp()),
        state = case when j.state = 'running' then j.state else 'cancelled' end,
        cause = case when j.state = 'running' then j.cause else 'cancelled' end,
        finished_at = case when j.state = 'running' then null else now() end,
        reason = case when j.state = 'running' then 'cancelling' end,
        hold = null, hold_until = null, queue_until = null
      from (select id as open_id, cancel_requested_at is not null as again from jobs where ${condition} and finished_at is null for no key update) o
      where j.id = o.open_id
      returning j.id, j.account_id, j.project_id, j.batch_id, j.state, j.attempt_id, o.again
    )
    select c.*, a.node_id from changed c left join attempts a on a.id = c.attempt_id and c.state = 'running'`)
  await recordEvents(
    tx,
    rows.flatMap((job) => {
      // Asked again, as the answer was lost: it is told once.
      if (job.state === 'running' && job.again) return []
      const owner = { accountId: job.account_id, projectId: job.project_id, batchId: job.batch_id, jobId: job.id }
      return job.state === 'running'
        ? { ...owner, type: 'job.cancel_requested', data: { state: 'running' } }
        : { ...owner, type: 'job.cancelled', data: { state: 'cancelled', cause: 'cancelled', exitCode: null, message: null } }
    }),
  )
  // A claim that was committed while this statement waited for its row is not in the statement's snapshot: the node hears of
  // that one when it renews its leases.
  const running = rows.flatMap((job) => (job.state === 'running' && job.node_id && job.attempt_id ? [{ nodeId: job.node_id, attemptId: job.attempt_id }] : []))
  const ended = rows.filter((job) => job.state === 'cancelled').length
  return { ended, requested: rows.length - ended, running, queued: 0 }
}
