import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { ValidBatch, ValidJob } from '#core/job/validate.ts'
import { recordEvents } from './events.ts'
import { QUEUE_UNTIL } from './holds.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** Whose a new job or batch is. */
export interface Owner {
  accountId: string
  projectId: string
}

/** Rows of one INSERT: large enough to be quick, small enough to stay a few megabytes. */
const CHUNK = 1000

/** Stores a job with its event in the caller's transaction. Returns its id and whether it can be claimed at once. */
export async function insertJob(tx: Tx, owner: Owner, job: ValidJob): Promise<{ id: string; queued: boolean }> {
  const prepared = prepare(job, null, false)
  await insertJobs(tx, owner, null, [prepared])
  return { id: prepared.id, queued: prepared.state === 'queued' }
}

/** Stores a batch and all its jobs in the caller's transaction. Returns its id and how many can be claimed at once. */
export async function insertBatch(tx: Tx, owner: Owner, batch: ValidBatch): Promise<{ id: string; queued: number }> {
  const id = newId('batch')
  await tx.query(sql.unsafe`
    insert into batches (id, account_id, project_id, name, labels, size, parallel, max_failures)
    values (${id}, ${owner.accountId}, ${owner.projectId}, ${batch.name}, ${JSON.stringify(batch.labels)}::jsonb, ${batch.jobs.length}, ${batch.parallel}, ${batch.maxFailures})`)
  const parallel = batch.parallel ?? batch.jobs.length
  let queued = 0
  for (let start = 0; start < batch.jobs.length; start += CHUNK) {
    const chunk = batch.jobs.slice(start, start + CHUNK).map((job, i) => prepare(job, start + i, start + i >= parallel, parallel))
    queued += chunk.filter((job) => job.state === 'queued').length
    await insertJobs(tx, owner, id, chunk)
  }
  await recordEvents(tx, [{ ...owner, batchId: id, jobId: null, type: 'batch.submitted', data: { size: batch.jobs.length, parallel: batch.parallel } }])
  return { id, queued }
}

type PreparedJob = ReturnType<typeof prepare>

function prepare(job: ValidJob, index: number | null, holdForBatch: boolean, parallel = 0) {
  const spec = job.resolved
  const later = spec.notBefore !== null && Date.parse(spec.notBefore) > Date.now()
  const hold = holdForBatch ? 'batch' : later ? 'not_before' : null
  return {
    id: newId('job'),
    index,
    name: job.name,
    labels: job.labels,
    spec,
    slots: spec.slots,
    memory: spec.memoryBytes,
    priority: spec.priority,
    state: hold ? 'held' : 'queued',
    hold,
    until: hold === 'not_before' ? spec.notBefore : null,
    reason: hold === 'batch' ? `held: batch parallelism ${parallel}` : hold === 'not_before' ? `held: not before ${spec.notBefore}` : 'waiting for a slot',
  }
}

async function insertJobs(tx: Tx, owner: Owner, batchId: string | null, jobs: readonly PreparedJob[]): Promise<void> {
  await tx.query(sql.unsafe`
    insert into jobs (id, account_id, project_id, batch_id, batch_index, name, labels, spec, slots, memory_bytes, priority, state, hold, hold_until, reason, queue_until)
    select j.id, ${owner.accountId}, ${owner.projectId}, ${batchId}, j.index, j.name, j.labels, j.spec, j.slots, j.memory, j.priority, j.state, j.hold, j.until, j.reason, case when j.state = 'queued' then ${QUEUE_UNTIL} end
    from jsonb_to_recordset(${JSON.stringify(jobs)}::jsonb)
      as j(id text, index int, name text, labels jsonb, spec jsonb, slots smallint, memory bigint, priority smallint, state text, hold text, until timestamptz, reason text)
    order by j.index nulls first`)
  await recordEvents(
    tx,
    jobs.map((job) => ({ ...owner, batchId, jobId: job.id, type: 'job.submitted', data: { state: job.state, reason: job.reason } })),
  )
}

/** Of these file ids, those that are ready files of the project. */
export async function readyFiles(db: Db, projectId: string, fileIds: readonly string[]): Promise<Set<string>> {
  const found = await db.anyFirst(sql.type(row(Type.Object({ id: Type.String() })))`
    select id from files where project_id = ${projectId} and state = 'ready' and id = any(${sql.array([...fileIds], 'text')})`)
  return new Set(found)
}
