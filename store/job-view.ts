import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { JobView } from '#core/api.ts'
import type { Explanation } from '#core/explain.ts'
import { isFinal } from '#core/job/state.ts'
import { nowMs } from '#core/service/time.ts'
import { FACTS, FactsRow, factsOf, HEAD, type JobFacts } from './explanation/job-facts.ts'
import type { ReadMachines } from './explanation/machines.ts'
import { readQueueFacts, readUnderWay } from './explanation/queue.ts'
import { needsWorld, reasonOf, type Surroundings } from './explanation/reason.ts'
import { inWords } from './explanation/words.ts'
import type { Db } from './pool.ts'

/** What jobs are shown from: the database as the caller sees it, and the machines, which are nobody's. */
export interface JobSource {
  db: Db
  machines: ReadMachines
}

/** A row of a job that is to be shown. */
export const ViewRow = Type.Composite([FactsRow, Type.Object({ view: Type.Unsafe<JobView>(Type.Any()) })])

/** What stands before a statement that selects VIEW: `with ${VIEW_HEAD} select …`. */
export const VIEW_HEAD = HEAD

// jsonb_build_object gives the view its shape in one place, and times are turned to RFC 3339 by Postgres.
/** The columns of ViewRow, of the job `j` and its project `p`. */
export const VIEW = sql.fragment`
  ${FACTS}, jsonb_build_object(
    'id', j.id, 'project', p.slug, 'batchId', j.batch_id, 'batchIndex', j.batch_index, 'name', j.name, 'labels', j.labels,
    'runtime', j.spec ->> 'runtime', 'image', j.spec ->> 'image', 'state', j.state, 'hold', j.hold, 'holdUntil', j.hold_until,
    'cause', j.cause, 'exitCode', j.exit_code, 'message', j.message, 'warnings', j.warnings, 'attemptCount', j.attempt_count,
    'nodeId', (select node_id from attempts where id = j.attempt_id), 'cancelRequested', j.cancel_requested_at is not null,
    'createdAt', j.created_at, 'startedAt', j.started_at, 'finishedAt', j.finished_at) as view`

type Row = typeof ViewRow.static

/** Jobs of one project as the API shows them, each that has not ended with its reason in words. */
export async function viewJobs(source: JobSource, projectId: string, rows: readonly Row[]): Promise<JobView[]> {
  const facts = rows.map(factsOf)
  const around = await lookAround(source, projectId, facts)
  return rows.map((found, index) => toView(found, facts[index] as JobFacts, around))
}

/** The one reason why a job is where it is. */
export async function explainRow(source: JobSource, projectId: string, found: typeof FactsRow.static): Promise<Explanation> {
  const job = factsOf(found)
  const reason = reasonOf(job, await lookAround(source, projectId, [job]), nowMs())
  return { jobId: job.jobId, state: job.state, message: inWords(reason, nowMs()), ...reason }
}

/** Reads what the reasons of these jobs depend on, and nothing for those that have none in common. */
async function lookAround({ db, machines }: JobSource, projectId: string, jobs: readonly JobFacts[]): Promise<Surroundings> {
  const holding = new Set(jobs.flatMap((job) => (job.hold === 'batch' && job.batchId !== null ? [job.batchId] : [])))
  const [batches, world] = await Promise.all([readUnderWay(db, [...holding]), jobs.some(needsWorld) ? readWorld({ db, machines }, projectId) : undefined])
  return { batches, world }
}

async function readWorld({ db, machines }: JobSource, projectId: string): Promise<NonNullable<Surroundings['world']>> {
  const [seen, queue] = await Promise.all([machines(), readQueueFacts(db, projectId)])
  return { machines: seen, queue }
}

function toView({ view }: Row, facts: JobFacts, around: Surroundings): JobView {
  for (const key of ['createdAt', 'holdUntil', 'startedAt', 'finishedAt'] as const) if (view[key] !== null) view[key] = new Date(view[key]).toISOString()
  return { ...view, reason: isFinal(view.state) ? null : inWords(reasonOf(facts, around, nowMs()), nowMs()) }
}
