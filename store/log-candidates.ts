import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const CandidateRow = row(
  Type.Object({
    position: Type.Number(),
    job_id: Type.String(),
    name: maybe(Type.String()),
    batch_index: maybe(Type.Number()),
    attempt_id: Type.String(),
    number: Type.Number(),
    archived: Type.Boolean(),
    expired: Type.Boolean(),
  }),
)

/** An attempt whose log may be searched. `position` is that of its job in the order of the search. */
export interface LogCandidate {
  position: number
  jobId: string
  name: string | null
  batchIndex: number | null
  attemptId: string
  number: number
  archived: boolean
  expired: boolean
}

/** Where to search: the jobs of a batch, in its order, or jobs that started in a time range, the newest first. */
export interface SearchScope {
  batchId?: string | undefined
  since?: string | undefined
  until?: string | undefined
}

/** The attempts of the next jobs at or behind a position (undefined: from the first one on), at most so many jobs; all attempts of each. */
export async function readLogCandidates(db: Db, projectId: string, scope: SearchScope, from: number | undefined, jobs: number): Promise<LogCandidate[]> {
  const inBatch = scope.batchId !== undefined
  const position = inBatch ? sql.fragment`j.batch_index` : sql.fragment`j.seq`
  const conditions = [
    sql.fragment`j.project_id = ${projectId}`,
    sql.fragment`j.started_at is not null`,
    scope.batchId !== undefined && sql.fragment`j.batch_id = ${scope.batchId}`,
    scope.since !== undefined && sql.fragment`j.started_at >= ${scope.since}::timestamptz`,
    scope.until !== undefined && sql.fragment`j.started_at < ${scope.until}::timestamptz`,
    from !== undefined && (inBatch ? sql.fragment`j.batch_index >= ${from}` : sql.fragment`j.seq <= ${from}`),
  ].filter((condition) => condition !== false)
  const order = inBatch ? sql.fragment`position` : sql.fragment`position desc`
  const rows = await db.any(sql.type(CandidateRow)`
    select s.*, a.id as attempt_id, a.number, a.log_archived as archived, a.log_expired_at is not null as expired
    from (
      select ${position} as position, j.id as job_id, j.name, j.batch_index from jobs j
      where ${sql.join(conditions, sql.fragment` and `)} order by ${order} limit ${jobs}
    ) s join attempts a on a.job_id = s.job_id
    order by ${order}, a.number`)
  return rows.map((found) => ({
    position: found.position,
    jobId: found.job_id,
    name: found.name,
    batchIndex: found.batch_index,
    attemptId: found.attempt_id,
    number: found.number,
    archived: found.archived,
    expired: found.expired,
  }))
}
