import { Type } from '@sinclair/typebox'
import { type FragmentSqlToken, sql } from 'slonik'
import type { JobView } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import type { ValidJob } from '#core/job/validate.ts'
import { workloadOf } from '#core/job/workload.ts'
import { worstCase } from '#core/money.ts'
import { nowMs } from '#core/service/time.ts'
import type { Deed } from './audit.ts'
import { QUEUE_UNTIL } from './holds.ts'
import type { Tx } from './pool.ts'
import { row } from './row.ts'
import type { TenantDb } from './tenant.ts'

/** Whose a new job or batch is. */
export interface Owner {
  accountId: string
  projectId: string
}

/** What is the same for all that one request submits. */
export interface Terms {
  /** What an hour of a slot costs, in microns; reserved for each job at its worst. */
  slotHourMicrons: number
  /** The trace that it belongs to, as it is stored. */
  trace: string | null
}

/** Its place in a batch; `parallel` of them may be under way at once. */
export interface Place {
  index: number
  parallel: number
}

/** A job as it is going to be stored. */
export interface NewJob {
  id: string
  index: number | null
  name: string | null
  labels: Record<string, string>
  spec: ResolvedSpec
  slots: number
  memory: number
  priority: number
  price: number
  attempt: number
  reserved: number
  workload: string
  state: 'held' | 'queued'
  hold: 'batch' | 'not_before' | null
  until: string | null
  reason: string
  trace: string | null
}

/** Makes the row of a job, with a new id. */
export function prepareJob(job: ValidJob, terms: Terms, place?: Place): NewJob {
  const spec = job.resolved
  const { attemptMicrons, jobMicrons } = worstCase(spec, terms.slotHourMicrons)
  const common = {
    id: newId('job'),
    index: place?.index ?? null,
    name: job.name,
    labels: job.labels,
    spec,
    slots: spec.slots,
    memory: spec.memoryBytes,
    priority: spec.priority,
    price: terms.slotHourMicrons,
    attempt: attemptMicrons,
    reserved: jobMicrons,
    workload: workloadOf(spec),
    trace: terms.trace,
  }
  if (place && place.index >= place.parallel)
    return { ...common, state: 'held', hold: 'batch', until: null, reason: `held: batch parallelism ${place.parallel}` }
  if (spec.notBefore !== null && Date.parse(spec.notBefore) > nowMs())
    return { ...common, state: 'held', hold: 'not_before', until: spec.notBefore, reason: `held: not before ${spec.notBefore}` }
  return { ...common, state: 'queued', hold: null, until: null, reason: 'waiting for a slot' }
}

const MadeRow = row(Type.Object({ created_at: Type.String() }))

/**
 * Stores jobs, each with its event, and what is to be told of who submitted them, in one statement of the caller's
 * transaction. Returns when they were made. (No webhook hears of `job.submitted`, so there is nothing to send.)
 */
export async function storeJobs(tx: Tx, owner: Owner, batchId: string | null, jobs: readonly NewJob[], deeds: readonly Deed[] = []): Promise<string> {
  return storeDocuments(tx, owner, batchId, JSON.stringify(jobs), deeds)
}

/** The same of jobs that are JSON already, as a list. */
export async function storeDocuments(tx: Tx, owner: Owner, batchId: string | null, jobs: string, deeds: readonly Deed[] = []): Promise<string> {
  const { created_at } = await tx.one(insertion('store_jobs', sql.fragment`null`, owner, batchId, jobs, deeds))
  return created_at
}

/** The same for jobs of no batch, as a transaction of its own, in one round trip. */
export async function storeJobsAlone(db: TenantDb, owner: Owner, jobs: readonly NewJob[], deeds: readonly Deed[]): Promise<string> {
  const { created_at } = await db.alone((one, setAccount) => one.one(insertion('store_jobs_alone', setAccount, owner, null, JSON.stringify(jobs), deeds)))
  return created_at
}

/** Every row is made from that of `who`, so that `first` is done before row level security looks at any. `jobs` is a JSON list of them. */
function insertion(name: string, first: FragmentSqlToken, owner: Owner, batchId: string | null, jobs: string, deeds: readonly Deed[]) {
  return sql.prepared(name, MadeRow)`
    with who as materialized (select ${first}), j as materialized (
      select j.* from who, jsonb_to_recordset(${jobs}::jsonb)
        as j(id text, index int, name text, labels jsonb, spec jsonb, slots smallint, memory bigint, priority smallint, state text, hold text,
          until timestamptz, reason text, price bigint, attempt bigint, reserved bigint, workload text, trace text)
    ), made as (
      insert into jobs (id, account_id, project_id, batch_id, batch_index, name, labels, spec, slots, memory_bytes, priority, state, hold, hold_until, reason,
        queue_until, slot_hour_microns, attempt_microns, reserved_microns, workload, trace_context)
      select j.id, ${owner.accountId}, ${owner.projectId}, ${batchId}, j.index, j.name, j.labels, j.spec, j.slots, j.memory, j.priority, j.state, j.hold, j.until,
        j.reason, case when j.state = 'queued' then ${QUEUE_UNTIL} end, j.price, j.attempt, j.reserved, j.workload, j.trace
      from j order by j.index nulls first
    ), added as (
      insert into events (account_id, project_id, batch_id, job_id, type, data)
      select ${owner.accountId}, ${owner.projectId}, ${batchId}, j.id, 'job.submitted', jsonb_build_object('state', j.state, 'reason', j.reason)
      from j order by j.index nulls first
      returning id
    ), sent as (
      insert into outbox (event_id) select id from added
    ), told as (
      insert into audit_log (account_id, project_id, actor_kind, actor_id, actor_name, action, object_id, ip, request_id, details)
      select d."accountId", d."projectId", d."actorKind", d."actorId", d."actorName", d.action, d."objectId", d.ip, d."requestId", d.details
      from who, jsonb_to_recordset(${JSON.stringify(deeds)}::jsonb) as d("accountId" text, "projectId" text, "actorKind" text, "actorId" text, "actorName" text,
        action text, "objectId" text, ip text, "requestId" text, details jsonb)
    )
    select now() as created_at`
}

/** A job that was just stored, as the API shows it. */
export function viewNewJob(job: NewJob, project: string, createdAt: string): JobView {
  return {
    id: job.id,
    project,
    batchId: null,
    batchIndex: null,
    name: job.name,
    labels: job.labels,
    runtime: job.spec.runtime,
    image: job.spec.image,
    state: job.state,
    hold: job.hold,
    holdUntil: job.until,
    reason: job.reason,
    cause: null,
    exitCode: null,
    message: null,
    warnings: [],
    attemptCount: 0,
    nodeId: null,
    cancelRequested: false,
    createdAt,
    startedAt: null,
    finishedAt: null,
  }
}
