import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { type AttemptView, type BatchView, type JobDetail, type JobView, maybe } from '#core/api.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { withoutSecrets } from '#core/job/secret-values.ts'
import { JOB_STATES } from '#core/job/state.ts'
import { nowMs } from '#core/service/time.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const Json = Type.Unsafe<unknown>(Type.Any())

/** Counting those ahead in the queue stops here: "1000 or more" says enough. */
const MAX_AHEAD = 1000

// jsonb_build_object gives the view its shape in one place, and times are turned to RFC 3339 by Postgres.
const JOB_VIEW = sql.fragment`
  jsonb_build_object(
    'id', j.id, 'project', p.slug, 'batchId', j.batch_id, 'batchIndex', j.batch_index, 'name', j.name, 'labels', j.labels,
    'runtime', j.spec ->> 'runtime', 'image', j.spec ->> 'image', 'state', j.state, 'hold', j.hold, 'holdUntil', j.hold_until,
    'reason', case when j.state = 'queued' then 'queued' else j.reason end,
    'cause', j.cause, 'exitCode', j.exit_code, 'message', j.message, 'warnings', j.warnings, 'attemptCount', j.attempt_count,
    'nodeId', (select node_id from attempts where id = j.attempt_id), 'cancelRequested', j.cancel_requested_at is not null,
    'createdAt', j.created_at, 'startedAt', j.started_at, 'finishedAt', j.finished_at)`

const ViewRow = Type.Object({ seq: Type.Number(), reason: maybe(Type.String()), ahead: maybe(Type.Number()), full: maybe(Type.String()), view: Json })

// Of the caller's account, as others take turns with it. Only the head of each of its queues is walked, in the order of
// the index: counting what lies before a job would walk all of it.
const HEAD = sql.fragment`
  head as materialized (
    select seq, row_number() over (order by priority desc, seq) - 1 as ahead
    from (
      select q.priority, q.seq from projects o cross join lateral (
        select priority, seq from jobs where state = 'queued' and account_id = o.account_id and project_id = o.id order by priority desc, seq limit ${MAX_AHEAD}
      ) q order by q.priority desc, q.seq limit ${MAX_AHEAD}
    ) first
  )`
const AHEAD = sql.fragment`case when j.state = 'queued' then (select h.ahead from head h where h.seq = j.seq) end`

// The limit of running jobs that keeps those of a project from starting, in words; null when there is none.
const atLimit = (projectId: string) => sql.fragment`
  at_limit as materialized (
    select case
      when (select count(*) from attempts where account_id = p.account_id and finished_at is null) >= coalesce(a.running_jobs, d.running_jobs)
        then 'waiting, as the account may run ' || coalesce(a.running_jobs, d.running_jobs) || ' at once'
      when (select count(*) from attempts r join jobs j on j.id = r.job_id where r.account_id = p.account_id and j.project_id = p.id and r.finished_at is null) >= l.running_jobs
        then 'waiting, as the project may run ' || l.running_jobs || ' at once'
      end as reason
    from projects p join limits d on d.id = 'default' left join limits a on a.id = p.account_id left join limits l on l.id = p.id
    where p.id = ${projectId}
  )`
const FULL = sql.fragment`case when j.state = 'queued' then (select reason from at_limit) end`

function toView(found: typeof ViewRow.static): JobView {
  const view = found.view as JobView
  for (const key of ['createdAt', 'holdUntil', 'startedAt', 'finishedAt'] as const)
    if (view[key] !== null) view[key] = new Date(view[key] as string).toISOString()
  if (view.state === 'queued') {
    const place = found.full ?? 'waiting for a slot'
    view.reason = found.reason === 'waiting for a slot' ? `${place}: ${found.ahead ?? `${MAX_AHEAD} or more`} ahead` : found.reason
  }
  if (view.holdUntil !== null && view.hold === 'backoff')
    view.reason = `${view.reason} in ${Math.max(0, Math.ceil((Date.parse(view.holdUntil) - nowMs()) / 1000))} s`
  return view
}

/** A job of the project, with its attempts and spec; undefined when it has none of this id. */
export async function readJob(db: Db, projectId: string, jobId: string): Promise<JobDetail | undefined> {
  const found = await db.maybeOne(sql.type(row(Type.Composite([ViewRow, Type.Object({ spec: Json })])))`
    with ${HEAD}, ${atLimit(projectId)} select j.seq, j.reason, ${AHEAD} as ahead, ${FULL} as full, ${JOB_VIEW} as view, j.spec
    from jobs j join projects p on p.id = j.project_id where j.id = ${jobId} and j.project_id = ${projectId}`)
  if (!found) return undefined
  return { ...toView(found), attempts: await readAttempts(db, jobId), spec: withoutSecrets(found.spec as ResolvedSpec) }
}

/** A job without attempts and spec. */
export async function readJobView(db: Db, projectId: string, jobId: string): Promise<JobView | undefined> {
  const found = await db.maybeOne(sql.type(row(ViewRow))`
    with ${HEAD}, ${atLimit(projectId)} select j.seq, j.reason, ${AHEAD} as ahead, ${FULL} as full, ${JOB_VIEW} as view
    from jobs j join projects p on p.id = j.project_id where j.id = ${jobId} and j.project_id = ${projectId}`)
  return found ? toView(found) : undefined
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
export async function listJobs(db: Db, projectId: string, filter: JobFilter): Promise<{ items: JobView[]; next: number | null }> {
  const inBatch = filter.batchId !== undefined
  const conditions = [
    sql.fragment`j.project_id = ${projectId}`,
    filter.batchId !== undefined && sql.fragment`j.batch_id = ${filter.batchId}`,
    filter.states !== undefined && sql.fragment`j.state = any(${sql.array([...filter.states], 'text')})`,
    filter.name !== undefined && sql.fragment`j.name = ${filter.name}`,
    Object.keys(filter.labels).length > 0 && sql.fragment`j.labels @> ${JSON.stringify(filter.labels)}::jsonb`,
    filter.after !== undefined && (inBatch ? sql.fragment`j.batch_index > ${filter.after}` : sql.fragment`j.seq < ${filter.after}`),
  ].filter((condition) => condition !== false)
  const rows = await db.any(sql.type(row(Type.Composite([ViewRow, Type.Object({ batch_index: maybe(Type.Number()) })])))`
    with ${HEAD}, ${atLimit(projectId)} select j.seq, j.batch_index, j.reason, ${AHEAD} as ahead, ${FULL} as full, ${JOB_VIEW} as view
    from jobs j join projects p on p.id = j.project_id
    where ${sql.join(conditions, sql.fragment` and `)}
    order by ${inBatch ? sql.fragment`j.batch_index` : sql.fragment`j.seq desc`} limit ${filter.limit + 1}`)
  const page = rows.slice(0, filter.limit)
  const last = page.at(-1)
  return { items: page.map(toView), next: rows.length > filter.limit && last ? (inBatch ? last.batch_index : last.seq) : null }
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
}

/** The attempts of a job from this number on, as places of logs. */
export async function readLogPlaces(db: Db, jobId: string, fromNumber: number): Promise<LogPlace[]> {
  const rows = await db.any(sql.type(row(LogRow))`
    select id, number, node_id, (extract(epoch from now() - finished_at) * 1000)::float8 as finished_ms_ago, log_seq, log_archived, log_expired_at is not null as log_expired from attempts
    where job_id = ${jobId} and number >= ${fromNumber} order by number`)
  return rows.map((place) => ({
    attemptId: place.id,
    number: place.number,
    nodeId: place.node_id,
    finishedMsAgo: place.finished_ms_ago,
    logSeq: place.log_seq,
    archived: place.log_archived,
    expired: place.log_expired,
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
