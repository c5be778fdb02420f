import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { ValidJob } from '#core/job/validate.ts'
import { recordEvents } from './events.ts'
import { type Owner, prepareJob, storeDocuments, storeJobs, type Terms } from './new-jobs.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const PLAIN: Terms = { slotHourMicrons: 0, trace: null }

/** Rows of one INSERT, and characters: large enough to be quick, small enough to take the process for milliseconds and some megabytes. */
const CHUNK = 250
const CHUNK_CHARACTERS = 2 ** 21

/** Stores a job with its event in the caller's transaction. Returns its id and whether it can be claimed at once. */
export async function insertJob(tx: Tx, owner: Owner, job: ValidJob, terms: Terms = PLAIN): Promise<{ id: string; queued: boolean }> {
  const made = prepareJob(job, terms)
  await storeJobs(tx, owner, null, [made])
  return { id: made.id, queued: made.state === 'queued' }
}

/** What is stored of a batch itself. */
export interface NewBatch {
  name: string | null
  labels: Record<string, string>
  size: number
  parallel: number | null
  maxFailures: number | null
}

/**
 * Stores a batch and all its jobs, as they come, in the caller's transaction. Returns its id and how many can be claimed at
 * once. Throws when there are not `size` jobs.
 */
export async function insertBatch(
  tx: Tx,
  owner: Owner,
  batch: NewBatch,
  jobs: Iterable<ValidJob> | AsyncIterable<ValidJob>,
  terms: Terms = PLAIN,
): Promise<{ id: string; queued: number }> {
  const id = newId('batch')
  await tx.query(sql.unsafe`
    insert into batches (id, account_id, project_id, name, labels, size, parallel, max_failures)
    values (${id}, ${owner.accountId}, ${owner.projectId}, ${batch.name}, ${JSON.stringify(batch.labels)}::jsonb, ${batch.size}, ${batch.parallel}, ${batch.maxFailures})`)
  const parallel = batch.parallel ?? batch.size
  let index = 0
  let queued = 0
  let chunk: string[] = []
  let characters = 0
  const store = async () => {
    await storeDocuments(tx, owner, id, `[${chunk.join(',')}]`)
    chunk = []
    characters = 0
  }
  for await (const job of jobs) {
    const made = prepareJob(job, terms, { index, parallel })
    if (made.state === 'queued') queued++
    const document = JSON.stringify(made)
    chunk.push(document)
    characters += document.length
    index++
    if (chunk.length === CHUNK || characters > CHUNK_CHARACTERS) await store()
  }
  if (chunk.length > 0) await store()
  if (index !== batch.size) throw new Error(`a batch of ${batch.size} jobs had ${index}`)
  await recordEvents(tx, [{ ...owner, batchId: id, jobId: null, type: 'batch.submitted', data: { size: batch.size, parallel: batch.parallel } }])
  return { id, queued }
}

/** Of these file ids, those that are ready files of the project. */
export async function readyFiles(db: Db, projectId: string, fileIds: readonly string[]): Promise<Set<string>> {
  const found = await db.anyFirst(sql.type(row(Type.Object({ id: Type.String() })))`
    select id from files where project_id = ${projectId} and state = 'ready' and id = any(${sql.array([...fileIds], 'text')})`)
  return new Set(found)
}
