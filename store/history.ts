import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** The latest so many that succeeded are looked at. */
const MOST = 1000
/** For a runtime, among so many of the latest jobs of the project that have ended. */
const LOOKED_AT = 5000
/** A queue is looked at often: so many are enough for a guess. */
const FEW = 50

/** How long jobs were on machines that succeeded, in seconds; `n` of them. */
export interface Durations {
  n: number
  median: number
  p90: number
}

const DurationsRow = row(Type.Object({ n: Type.Number(), median: maybe(Type.Number()), p90: maybe(Type.Number()) }))
const SecondsRow = row(Type.Object({ at: Type.Number(), seconds: maybe(Type.Number()) }))

// The attempt that succeeded, from when its node got it: what it is charged for.
const SECONDS = sql.fragment`extract(epoch from a.finished_at - a.assigned_at)::float8`

/** Of the jobs of a project with this workload (core/job/workload.ts). */
export function durationsOfWorkload(db: Db, projectId: string, workload: string): Promise<Durations | undefined> {
  return durations(
    db,
    sql.fragment`
      select attempt_id from jobs where project_id = ${projectId} and workload = ${workload} and state = 'succeeded' order by finished_at desc limit ${MOST}`,
  )
}

/** Of the jobs of a project with this image, among the latest. */
export function durationsOfImage(db: Db, projectId: string, image: string): Promise<Durations | undefined> {
  return durations(
    db,
    sql.fragment`
      select attempt_id from (
        select attempt_id, state, spec ->> 'image' as image, finished_at from jobs
        where project_id = ${projectId} and finished_at is not null order by finished_at desc limit ${LOOKED_AT}
      ) ended where state = 'succeeded' and image = ${image} order by finished_at desc limit ${MOST}`,
  )
}

async function durations(db: Db, latest: ReturnType<typeof sql.fragment>): Promise<Durations | undefined> {
  const { n, median, p90 } = await db.one(sql.type(DurationsRow)`
    select count(*)::int as n, percentile_cont(0.5) within group (order by seconds) as median, percentile_cont(0.9) within group (order by seconds) as p90
    from (select ${SECONDS} as seconds from (${latest}) l join attempts a on a.id = l.attempt_id) t`)
  return median === null || p90 === null ? undefined : { n, median, p90 }
}

/**
 * For jobs that wait, how many seconds each of these workloads is expected to take: the median of the latest few of it, null where
 * none has succeeded. One statement and one short walk of an index for each.
 */
export async function expectedSeconds(db: Db, wanted: readonly { projectId: string; workload: string }[]): Promise<(number | null)[]> {
  if (wanted.length === 0) return []
  const found = await db.any(sql.type(SecondsRow)`
    select w.at::int as at, m.seconds
    from jsonb_to_recordset(${JSON.stringify(wanted.map((one, at) => ({ at, ...one })))}::jsonb) as w(at int, "projectId" text, workload text)
      cross join lateral (
        select percentile_cont(0.5) within group (order by ${SECONDS}) as seconds
        from (
          select attempt_id from jobs j where j.project_id = w."projectId" and j.workload = w.workload and j.state = 'succeeded'
          order by j.finished_at desc limit ${FEW}
        ) l join attempts a on a.id = l.attempt_id
      ) m order by w.at`)
  return found.map(({ seconds }) => seconds)
}

const CellRow = row(Type.Object({ microns: maybe(Type.Number()) }))

/** What an hour of a slot costs of the cheapest machine that can be bought now, in microns; null where none can. */
export async function cheapestSlotHour(db: Db, slots: number): Promise<number | null> {
  return db.oneFirst(sql.type(CellRow)`select min(c.hour_microns::float8 / c.slots) as microns from cells c where c.available and c.slots >= ${slots}`)
}
