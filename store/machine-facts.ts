import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { Architecture, NodeState } from '#core/node.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** So many jobs are looked at, an equal share of each project, and no more than this: more machines than they want are never bought. */
const JOBS = 20_000
const JOBS_OF_A_PROJECT = 5000
const PROJECTS = 500

const WaitingRow = row(
  Type.Object({
    project_id: Type.String(),
    image: maybe(Type.String()),
    slots: Type.Number(),
    memory_bytes: Type.Number(),
    jobs: Type.Number(),
    oldest_seconds: Type.Number(),
  }),
)

/** Jobs of one kind that wait for a slot. */
export interface WaitingJobs {
  projectId: string
  /** null: not looked at, as the document is large. */
  image: string | null
  slots: number
  memoryBytes: number
  jobs: number
  oldestWaitSeconds: number
}

/**
 * The jobs that wait and that the limits of their account and project let run now, by kind; counted to 20,000 of all
 * projects and 5,000 of one. Walks over the index of the queue from project to project, so however long the queue is, that much is read.
 */
export async function waitingJobs(db: Db): Promise<WaitingJobs[]> {
  const rows = await db.any(sql.type(WaitingRow)`
    with recursive heads as (
      (select account_id, project_id from jobs where state = 'queued' order by account_id, project_id limit 1)
      union all
      select next.account_id, next.project_id from heads h cross join lateral (
        select j.account_id, j.project_id from jobs j
        where j.state = 'queued' and (j.account_id, j.project_id) > (h.account_id, h.project_id) order by j.account_id, j.project_id limit 1
      ) next
    ), projects_in_turn as (
      select h.account_id, h.project_id, count(*) over () as projects,
        coalesce(l.running_jobs, d.running_jobs) - (select count(*) from attempts r where r.account_id = h.account_id and r.finished_at is null) as account_room,
        p.running_jobs - (
          select count(*) from attempts r join jobs s on s.id = r.job_id where r.account_id = h.account_id and s.project_id = h.project_id and r.finished_at is null
        ) as project_room
      from (select * from heads limit ${PROJECTS}) h
      join limits d on d.id = 'default'
      left join limits l on l.id = h.account_id
      left join limits p on p.id = h.project_id
    ), waiting as (
      select t.account_id, t.project_id, t.account_room, j.*, row_number() over (partition by t.account_id) as place
      from projects_in_turn t cross join lateral (
        select q.slots, q.memory_bytes, q.queued_at, case when pg_column_size(q.spec) < 2000 then q.spec ->> 'image' end as image
        from jobs q where q.state = 'queued' and q.account_id = t.account_id and q.project_id = t.project_id
        order by q.priority desc, q.seq limit greatest(0, least(${JOBS_OF_A_PROJECT}, ${JOBS} / t.projects, t.project_room, t.account_room))
      ) j
      limit ${JOBS}
    )
    select project_id, image, slots, memory_bytes, count(*)::int as jobs,
      greatest(0, extract(epoch from now() - min(queued_at)))::float8 as oldest_seconds
    from waiting where account_room is null or place <= account_room
    group by project_id, image, slots, memory_bytes`)
  return rows.map((found) => ({
    projectId: found.project_id,
    image: found.image,
    slots: found.slots,
    memoryBytes: found.memory_bytes,
    jobs: found.jobs,
    oldestWaitSeconds: found.oldest_seconds,
  }))
}

const NodeRow = row(
  Type.Object({
    id: Type.String(),
    state: Type.Unsafe<NodeState>(Type.String()),
    server_type: Type.String(),
    location: Type.String(),
    arch: Type.Unsafe<Architecture>(Type.String()),
    slots: Type.Number(),
    memory_bytes: Type.Number(),
    hour_microns: Type.Number(),
    billed_from_ms: maybe(Type.Number()),
    state_at_ms: Type.Number(),
    drain_requested: Type.Boolean(),
    free_since_ms: Type.Number(),
  }),
)

/** A bought node as its row has it. Times in milliseconds since 1970 by the clock of Postgres. */
export interface NodeRowFacts {
  nodeId: string
  state: NodeState
  serverType: string
  location: string
  arch: Architecture
  slots: number
  memoryBytes: number
  hourMicrons: number
  billedFromMs: number | null
  stateAtMs: number
  /** Somebody asked for the drain, not the planner. */
  drainRequested: boolean
  /** When its last attempt ended, or it became what it is; says something only when it has no live one. */
  freeSinceMs: number
}

/** The nodes of a provider that have not ended. */
export async function nodeFacts(db: Db, provider: string): Promise<NodeRowFacts[]> {
  const rows = await db.any(sql.type(NodeRow)`
    select n.id, n.state, n.server_type, n.location, n.arch, n.slots, n.memory_bytes, n.hour_microns,
      (extract(epoch from n.billed_from) * 1000)::float8 as billed_from_ms, (extract(epoch from n.state_at) * 1000)::float8 as state_at_ms,
      n.drain_requested_at is not null and not n.drain_planned as drain_requested,
      (extract(epoch from coalesce(greatest(n.enrolled_at,
        (select a.finished_at from attempts a where a.node_id = n.id and a.finished_at is not null order by a.finished_at desc limit 1)
      ), n.created_at)) * 1000)::float8 as free_since_ms
    from nodes n where n.provider = ${provider} and n.ended_at is null order by n.id`)
  return rows.map((found) => ({
    nodeId: found.id,
    state: found.state,
    serverType: found.server_type,
    location: found.location,
    arch: found.arch,
    slots: found.slots,
    memoryBytes: found.memory_bytes,
    hourMicrons: found.hour_microns,
    billedFromMs: found.billed_from_ms,
    stateAtMs: found.state_at_ms,
    drainRequested: found.drain_requested,
    freeSinceMs: found.free_since_ms,
  }))
}

const LiveRow = row(
  Type.Object({
    node_id: Type.String(),
    project_id: Type.String(),
    image: maybe(Type.String()),
    slots: Type.Number(),
    memory_bytes: Type.Number(),
    assigned_at_ms: Type.Number(),
  }),
)

/** A live attempt on a node that was bought. */
export interface LiveWork {
  nodeId: string
  projectId: string
  image: string | null
  slots: number
  memoryBytes: number
  assignedAtMs: number
}

/** What runs on the nodes of a provider. */
export async function liveWork(db: Db, provider: string): Promise<LiveWork[]> {
  const rows = await db.any(sql.type(LiveRow)`
    select a.node_id, j.project_id, case when pg_column_size(j.spec) < 2000 then j.spec ->> 'image' end as image, a.slots, a.memory_bytes,
      (extract(epoch from a.assigned_at) * 1000)::float8 as assigned_at_ms
    from nodes n join attempts a on a.node_id = n.id and a.finished_at is null join jobs j on j.id = a.job_id
    where n.provider = ${provider} and n.ended_at is null`)
  return rows.map((found) => ({
    nodeId: found.node_id,
    projectId: found.project_id,
    image: found.image,
    slots: found.slots,
    memoryBytes: found.memory_bytes,
    assignedAtMs: found.assigned_at_ms,
  }))
}

const FreeRow = row(Type.Object({ arch: Type.Unsafe<Architecture>(Type.String()), slots: Type.Number(), memory_bytes: Type.Number() }))

/** What is free on one node that was set up by hand. */
export interface FreeRoom {
  arch: Architecture
  slots: number
  memoryBytes: number
}

/** What is free on nodes that nobody buys or deletes: work that fits there needs no machine. */
export async function freeByHand(db: Db): Promise<FreeRoom[]> {
  const rows = await db.any(sql.type(FreeRow)`
    select n.arch, n.slots - coalesce(u.slots, 0)::int as slots, n.memory_bytes - coalesce(u.memory_bytes, 0)::bigint as memory_bytes
    from nodes n left join lateral (
      select sum(slots) as slots, sum(memory_bytes) as memory_bytes from attempts where node_id = n.id and finished_at is null
    ) u on true
    where n.provider is null and n.state = 'ready' and n.drain_requested_at is null and n.slots > coalesce(u.slots, 0)`)
  return rows.map((found) => ({ arch: found.arch, slots: found.slots, memoryBytes: found.memory_bytes }))
}

const DurationRow = row(Type.Object({ project_id: Type.String(), image: maybe(Type.String()), seconds: Type.Number(), attempts: Type.Number() }))

/** How long jobs of a project and an image held their slots lately: the median of `attempts`. */
export interface PastDuration {
  projectId: string
  image: string | null
  seconds: number
  attempts: number
}

/** Of each project its last hundred jobs, by image. */
export async function pastDurations(db: Db, projectIds: readonly string[]): Promise<PastDuration[]> {
  const rows = await db.any(sql.type(DurationRow)`
    select p.id as project_id, j.image, percentile_cont(0.5) within group (order by extract(epoch from a.finished_at - a.assigned_at))::float8 as seconds,
      count(*)::int as attempts
    from unnest(${sql.array([...projectIds], 'text')}) as p(id)
    cross join lateral (
      select q.attempt_id, case when pg_column_size(q.spec) < 2000 then q.spec ->> 'image' end as image from jobs q
      where q.project_id = p.id and q.finished_at is not null order by q.finished_at desc limit 100
    ) j
    join attempts a on a.id = j.attempt_id and a.state in ('succeeded', 'failed')
    group by p.id, j.image`)
  return rows.map((found) => ({ projectId: found.project_id, image: found.image, seconds: found.seconds, attempts: found.attempts }))
}

const BootRow = row(Type.Object({ seconds: maybe(Type.Number()), now_ms: Type.Number() }))

/** The clock of Postgres, and what the last twenty machines took from their order to their enrolment, on average. */
export async function clockAndBoot(db: Db, provider: string): Promise<{ nowMs: number; bootSeconds: number | null }> {
  const found = await db.one(sql.type(BootRow)`
    select (extract(epoch from now()) * 1000)::float8 as now_ms, (
      select avg(seconds)::float8 from (
        select extract(epoch from enrolled_at - billed_from) as seconds from nodes
        where provider = ${provider} and enrolled_at > billed_from order by id desc limit 20
      ) b
    ) as seconds`)
  return { nowMs: found.now_ms, bootSeconds: found.seconds }
}
