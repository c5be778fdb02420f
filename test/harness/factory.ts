import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { Spec } from '#core/job/spec.ts'
import type { JobState } from '#core/job/state.ts'
import { ensureProject } from '#store/bootstrap.ts'
import type { Db } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { aSpec } from './spec.ts'

/** Rows with defaults, written directly: for tests of what happens to them later. */
export interface Factory {
  projectId: string
  accountId: string
  node(change?: { slots?: number; memoryBytes?: number; state?: string; images?: string[]; ageSeconds?: number }): Promise<string>
  job(change?: { spec?: Partial<Spec>; batchId?: string; batchIndex?: number; held?: 'batch' }): Promise<string>
  batch(change: { size: number; parallel?: number | null; maxFailures?: number | null }): Promise<string>
  jobState(jobId: string): Promise<JobRow>
  eventTypes(jobId: string): Promise<string[]>
}

const JobStateRow = Type.Object({
  state: Type.Unsafe<JobState>(Type.String()),
  hold: Type.Union([Type.String(), Type.Null()]),
  reason: Type.Union([Type.String(), Type.Null()]),
  cause: Type.Union([Type.String(), Type.Null()]),
  exit_code: Type.Union([Type.Number(), Type.Null()]),
  attempt_count: Type.Number(),
  retries_used: Type.Number(),
  infra_retries_used: Type.Number(),
})
type JobRow = typeof JobStateRow.static

/** Makes rows in a test database through a connection that may write everything. */
export async function createFactory(db: Db): Promise<Factory> {
  const projectId = await ensureProject(db, 'default', 'default')
  const accountId = await db.oneFirst(sql.type(row(Type.Object({ account_id: Type.String() })))`select account_id from projects where id = ${projectId}`)
  return {
    projectId,
    accountId,
    async node(change = {}) {
      const id = newId('node')
      const { state = 'ready', slots = 2, memoryBytes = 4 * 2 ** 30, images = [], ageSeconds } = change
      const bought = ageSeconds === undefined ? null : 'local'
      await db.query(sql.unsafe`
        insert into nodes (id, name, pool, public_key, state, slots, memory_bytes, version, enrolled_at, ended_at, images,
          provider, server_type, location, billed_from)
        values (${id}, ${id.slice(-8)}, 'default', 'U', ${state}, ${slots}, ${memoryBytes}, 'test', now(),
          case when ${state} in ('gone', 'failed') then now() end, ${sql.array(images, 'text')},
          ${bought}, ${bought}, ${bought}, now() - make_interval(secs => ${ageSeconds ?? null}))`)
      return id
    },
    async job(change = {}) {
      const id = newId('job')
      const spec = aSpec(change.spec)
      await db.query(sql.unsafe`
        insert into jobs (id, account_id, project_id, batch_id, batch_index, spec, slots, memory_bytes, priority, state, hold, reason)
        values (${id}, ${accountId}, ${projectId}, ${change.batchId ?? null}, ${change.batchIndex ?? null}, ${sql.jsonb(JSON.parse(JSON.stringify(spec)))},
          ${spec.slots}, ${spec.memoryBytes}, ${spec.priority}, ${change.held ? 'held' : 'queued'}, ${change.held ?? null}, 'waiting for a slot')`)
      return id
    },
    async batch(change) {
      const id = newId('batch')
      await db.query(sql.unsafe`insert into batches (id, account_id, project_id, size, parallel, max_failures)
        values (${id}, ${accountId}, ${projectId}, ${change.size}, ${change.parallel ?? null}, ${change.maxFailures ?? null})`)
      return id
    },
    jobState: (jobId) =>
      db.one(
        sql.type(row(JobStateRow))`select state, hold, reason, cause, exit_code, attempt_count, retries_used, infra_retries_used from jobs where id = ${jobId}`,
      ),
    async eventTypes(jobId) {
      return [...(await db.anyFirst(sql.type(row(Type.Object({ type: Type.String() })))`select type from events where job_id = ${jobId} order by id`))]
    },
  }
}
