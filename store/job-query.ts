import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { type AttemptView, type BatchView, type JobDetail, type JobView, maybe } from '#core/api.ts'
import type { Explanation } from '#core/explain.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { withoutSecrets } from '#core/job/secret-values.ts'
import { JOB_STATES } from '#core/job/state.ts'
import { FACTS, FactsRow, HEAD } from './explanation/job-facts.ts'
import { explainRow, type JobSource, VIEW, VIEW_HEAD, ViewRow, viewJobs } from './job-view.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** A job of the project, with its attempts and spec; undefined when it has none of this id. */
export async function readJob(source: JobSource, projectId: string, jobId: string): Promise<JobDetail | undefined> {
  const found = await source.db.maybeOne(sql.type(row(Type.Composite([ViewRow, Type.Object({ spec: Type.Unsafe<ResolvedSpec>(Type.Any()) })])))`
    with ${VIEW_HEAD} select ${VIEW}, j.spec from jobs j join projects p on p.id = j.project_id where j.id = ${jobId} and j.project_id = ${projectId}`)
  if (!found) return undefined
  const [[view], attempts] = await Promise.all([viewJobs(source, projectId, [found]), readAttempts(source.db, jobId)])
  return view && { ...view, attempts, spec: withoutSecrets(found.spec) }
}

/** A job without attempts and spec. */
export async function readJobView(source: JobSource, projectId: string, jobId: string): Promise<JobView | undefined> {
  const found = await source.db.maybeOne(sql.type(row(ViewRow))`
    with ${VIEW_HEAD} select ${VIEW} from jobs j join projects p on p.id = j.project_id where j.id = ${jobId} and j.project_id = ${projectId}`)
  return found ? (await viewJobs(source, projectId, [found]))[0] : undefined
}

/** Why a job of the project is where it is; undefined when it has none of this id. */
export async function explainJob(source: JobSource, projectId: string, jobId: string): Promise<Explanation | undefined> {
  const found = await source.db.maybeOne(sql.type(row(FactsRow))`
    with ${HEAD} select ${FACTS} from jobs j where j.id = ${jobId} and j.project_id = ${projectId}`)
  return found ? explainRow(source, projectId, found) : undefined
}

/** Whether the project has this job, or batch. */
export async function projectHas(db: Db, projectId: string, kind: 'job' | 'batch', id: string): Promise<boolean> {
  const table = sql.identifier([kind === 'job' ? 'jobs' : 'batches'])
  return db.exists(sql.unsafe`select 1 from ${table} where id = ${id} and project_id = ${projectId}`)
}

/** What a list of jobs may be narrowed to. `after` is the seq (or, in a batch, the index) of the last one seen. */
export interface JobFilter {
  states?: readonly string[] | undefined
  batchId?: string | undefined
  name?: string | undefined
  labels: Readonly<Record<string, string>>
  after?: number | undefined
  limit: number
}

/** A page of jobs, newest first; those of one batch in the order of its items. `next` is null on the last page. */
export async function listJobs(source: JobSource, projectId: string, filter: JobFilter): Promise<{ items: JobView[]; next: number | null }> {
  const inBatch = filter.batchId !== undefined
  const conditions = [
    sql.fragment`j.project_id = ${projectId}`,
    filter.batchId !== undefined && sql.fragment`j.batch_id = ${filter.batchId}`,
    filter.states !== undefined && sql.fragment`j.state = any(${sql.array([...filter.states], 'text')})`,
    filter.name !== undefined && sql.fragment`j.name = ${filter.name}`,
    Object.keys(filter.labels).length > 0 && sql.fragment`j.labels @> ${JSON.stringify(filter.labels)}::jsonb`,
    filter.after !== undefined && (inBatch ? sql.fragment`j.batch_index > ${filter.after}` : sql.fragment`j.seq < ${filter.after}`),
  ].filter((condition) => condition !== false)
  const rows = await source.db.any(sql.type(row(Type.Composite([ViewRow, Type.Object({ seq: Type.Number(), batch_index: maybe(Type.Number()) })])))`
    with ${VIEW_HEAD} select j.seq, j.batch_index, ${VIEW}
    from jobs j join projects p on p.id = j.project_id
    where ${sql.join(conditions, sql.fragment` and `)}
    order by ${inBatch ? sql.fragment`j.batch_index` : sql.fragment`j.seq desc`} limit ${filter.limit + 1}`)
  const page = rows.slice(0, filter.limit)
  const last = page.at(-1)
  return { items: await viewJobs(source, projectId, page), next: rows.length > filter.limit && last ? (inBatch ? last.batch_index : last.seq) : null }
}

const AttemptRow = Type.Object({
  id: Type.String(),
  number: Type.Number(),
  state: Type.Unsafe<AttemptView['state']>(Type.String()),
  cause: Type.Unsafe<AttemptView['cause']>(maybe(Type.String())),
  exit_code: maybe(Type.Number()),
  message: maybe(Type.String()),
  node_id: Type.String(),
  image_digest: maybe(Type.String()),
  assigned_at: Type.String(),
  started_at: maybe(Type.String()),
  finished_at: maybe(Type.String()),
  late_cause: maybe(Type.String()),
  late_exit_code: maybe(Type.Number()),
  late_at: maybe(Type.String()),
})

/** The attempts of a job, the first one first. */
export async function readAttempts(db: Db, jobId: string): Promise<AttemptView[]> {
  const rows = await db.any(sql.type(row(AttemptRow))`
    select id, number, state, cause, exit_code, message, node_id, image_digest, assigned_at, started_at, finished_at, late_cause, late_exit_code, late_at
    from attempts where job_id = ${jobId} order by number`)
  return rows.map((attempt) => ({
    id: attempt.id,
    number: attempt.number,
    state: attempt.state,
    cause: attempt.cause,
    exitCode: attempt.exit_code,
    message: attempt.message,
    nodeId: attempt.node_id,
    imageDigest: attempt.image_digest,
    assignedAt: attempt.assigned_at,
    startedAt: attempt.started_at,
    finishedAt: attempt.finished_at,
    lateResult:
      attempt.late_cause !== null && attempt.late_at !== null ? { cause: attempt.late_cause, exitCode: attempt.late_exit_code, at: attempt.late_at } : null,
  }))
}

const LogRow = Type.Object({
  id: Type.String(),
  number: Type.Number(),
  node_id: Type.String(),
  finished_ms_ago: maybe(Type.Number()),
  log_seq: maybe(Type.Number()),
  log_archived: Type.Boolean(),
  log_expired: Type.Boolean(),
  awaited: Type.Boolean(),
})

/** Where the log of an attempt is. */
export interface LogPlace {
  attemptId: string
  number: number
  nodeId: string
  /** How long ago the attempt ended; null while it is live. */
  finishedMsAgo: number | null
  /** The number of the last log message, once the node has told it. */
  logSeq: number | null
  archived: boolean
  /** Whether it was, and is past the retention of the project. */
  expired: boolean
  /** Whether its node may archive it yet: it has not, was not lost, and is still there. */
  awaited: boolean
}

/** The attempts of a job from this number on, as places of logs. */
export async function readLogPlaces(db: Db, jobId: string, fromNumber: number): Promise<LogPlace[]> {
  const rows = await db.any(sql.type(row(LogRow))`
    select id, number, node_id, (extract(epoch from now() - finished_at) * 1000)::float8 as finished_ms_ago, log_seq, log_archived, log_expired_at is not null as log_expired,
      not log_archived and state <> 'lost' and exists (select 1 from nodes n where n.id = node_id and n.ended_at is null) as awaited
    from attempts
    where job_id = ${jobId} and number >= ${fromNumber} order by number`)
  return rows.map((place) => ({
    attemptId: place.id,
    number: place.number,
    nodeId: place.node_id,
    finishedMsAgo: place.finished_ms_ago,
    logSeq: place.log_seq,
    archived: place.log_archived,
    expired: place.log_expired,
    awaited: place.awaited,
  }))
}

const BatchRow = Type.Object({
  id: Type.String(),
  project: Type.String(),
  name: maybe(Type.String()),
  size: Type.Number(),
  parallel: maybe(Type.Number()),
  max_failures: maybe(Type.Number()),
  created_at: Type.String(),
  finished_at: maybe(Type.String()),
})

/** A batch of the project with the number of its jobs in each state. */
export async function readBatch(db: Db, projectId: string, batchId: string): Promise<BatchView | undefined> {
  const batch = await db.maybeOne(sql.type(row(BatchRow))`
    select b.id, p.slug as project, b.name, b.size, b.parallel, b.max_failures, b.created_at, b.finished_at
    from batches b join projects p on p.id = b.project_id where b.id = ${batchId} and b.project_id = ${projectId}`)
  if (!batch) return undefined
  const rows = await db.any(sql.type(row(Type.Object({ state: Type.String(), count: Type.Number() })))`
    select state, count(*) as count from jobs where batch_id = ${batchId} group by state`)
  const counted = new Map(rows.map((entry) => [entry.state, entry.count]))
  const counts = Object.fromEntries(JOB_STATES.map((state) => [state, counted.get(state) ?? 0])) as BatchView['counts']
  return {
    id: batch.id,
    project: batch.project,
    name: batch.name,
    size: batch.size,
    parallel: batch.parallel,
    maxFailures: batch.max_failures,
    counts,
    createdAt: batch.created_at,
    finishedAt: batch.finished_at,
  }
}
