import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import type { AttemptState } from '#core/job/state.ts'
import { recordEvents } from './events.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const LeasedRow = Type.Object({
  attempt_id: Type.String(),
  number: Type.Number(),
  node_id: Type.String(),
  attempt_finished: Type.Boolean(),
  attempt_state: Type.String(),
  attempt_started: Type.Boolean(),
  job_id: Type.String(),
  account_id: Type.String(),
  project_id: Type.String(),
  batch_id: maybe(Type.String()),
  spec: Type.Unsafe<ResolvedSpec>(Type.Object({})),
  retries_used: Type.Number(),
  infra_retries_used: Type.Number(),
  cancel_requested: Type.Boolean(),
  assigned_seconds: Type.Number(),
  trace_context: maybe(Type.String()),
})

/** An attempt with what is needed to end it; its job row is locked. */
export interface LeasedAttempt {
  attemptId: string
  number: number
  nodeId: string
  finished: boolean
  state: AttemptState
  /** Whether it is written down that its container ran. */
  started: boolean
  jobId: string
  accountId: string
  projectId: string
  batchId: string | null
  spec: ResolvedSpec
  retriesUsed: number
  infraRetriesUsed: number
  cancelRequested: boolean
  /** How long ago its node got it. */
  assignedSeconds: number
  /** The trace of its job, as it is stored. */
  traceContext: string | null
}

/** The batch of an attempt's job, read before anything is locked; undefined when there is no such attempt. */
export async function batchOfAttempt(tx: Tx, attemptId: string): Promise<{ batchId: string | null } | undefined> {
  const found = await tx.maybeOne(sql.type(row(Type.Object({ batch_id: maybe(Type.String()) })))`
    select j.batch_id from attempts a join jobs j on j.id = a.job_id where a.id = ${attemptId}`)
  return found ? { batchId: found.batch_id } : undefined
}

/** Locks an attempt and its job, if the lease is that of this node; undefined otherwise. */
export async function lockAttempt(tx: Tx, nodeId: string, attemptId: string, leaseToken: string | null): Promise<LeasedAttempt | undefined> {
  const token = leaseToken === null ? sql.fragment`true` : sql.fragment`a.lease_token = ${leaseToken}`
  const found = await tx.maybeOne(sql.type(row(LeasedRow))`
    select a.id as attempt_id, a.number, a.node_id, a.finished_at is not null as attempt_finished, a.state as attempt_state, a.started_at is not null as attempt_started,
      j.id as job_id, j.account_id, j.project_id, j.batch_id, j.spec, j.retries_used, j.infra_retries_used,
      j.cancel_requested_at is not null as cancel_requested, j.trace_context,
      greatest(0, extract(epoch from clock_timestamp() - a.assigned_at))::float8 as assigned_seconds
    from attempts a join jobs j on j.id = a.job_id
    where a.id = ${attemptId} and a.node_id = ${nodeId} and ${token}
    for no key update of a, j`)
  if (!found) return undefined
  return {
    attemptId: found.attempt_id,
    number: found.number,
    nodeId: found.node_id,
    finished: found.attempt_finished,
    state: found.attempt_state as AttemptState,
    started: found.attempt_started,
    jobId: found.job_id,
    accountId: found.account_id,
    projectId: found.project_id,
    batchId: found.batch_id,
    spec: found.spec,
    retriesUsed: found.retries_used,
    infraRetriesUsed: found.infra_retries_used,
    cancelRequested: found.cancel_requested,
    assignedSeconds: found.assigned_seconds,
    traceContext: found.trace_context,
  }
}

/** Notes a step of a live attempt and, when the container runs, that the job has started. */
export async function recordProgress(tx: Tx, attempt: LeasedAttempt, state: 'preparing' | 'running' | 'finishing', imageDigest: string | null): Promise<void> {
  const started = state === 'running' ? sql.fragment`, started_at = now()` : sql.fragment``
  await tx.query(sql.unsafe`
    update attempts set state = ${state}, image_digest = coalesce(${imageDigest}, image_digest) ${started} where id = ${attempt.attemptId}`)
  await tx.query(sql.unsafe`update jobs set reason = ${`${state} on ${attempt.nodeId}`} where id = ${attempt.jobId}`)
  if (state === 'running') await recordStarted(tx, attempt)
}

/** Tells that the container of an attempt runs, or ran. */
export async function recordStarted(tx: Tx, attempt: LeasedAttempt): Promise<void> {
  await recordEvents(tx, [
    { ...ownerOf(attempt), type: 'job.started', data: { state: 'running', attempt: attempt.number, attemptId: attempt.attemptId, nodeId: attempt.nodeId } },
  ])
}

const LiveRow = Type.Object({ id: Type.String(), lease_token: Type.String(), age_ms: Type.Number(), cancel_requested: Type.Boolean() })

/** A lease that a node holds. */
export interface LiveLease {
  attemptId: string
  leaseToken: string
  ageMs: number
  cancelRequested: boolean
}

/** The leases that are live on a node. */
export async function liveLeases(db: Db, nodeId: string): Promise<LiveLease[]> {
  const rows = await db.any(sql.type(row(LiveRow))`
    select a.id, a.lease_token, (extract(epoch from now() - a.assigned_at) * 1000)::float8 as age_ms, j.cancel_requested_at is not null as cancel_requested
    from attempts a join jobs j on j.id = a.job_id where a.node_id = ${nodeId} and a.finished_at is null`)
  return rows.map((lease) => ({ attemptId: lease.id, leaseToken: lease.lease_token, ageMs: lease.age_ms, cancelRequested: lease.cancel_requested }))
}

const OverdueRow = Type.Object({ id: Type.String(), node_id: Type.String(), lease_token: Type.String() })

/**
 * Attempts that are live longer than their node may take: past all their own limits, or past the end of a cancel's grace, and
 * each time past the slack that is given for uploads and reports.
 */
export async function overdueAttempts(
  db: Db,
  slack: { limitSeconds: number; cancelSeconds: number },
): Promise<{ attemptId: string; nodeId: string; leaseToken: string }[]> {
  const rows = await db.any(sql.type(row(OverdueRow))`
    select a.id, a.node_id, a.lease_token from attempts a join jobs j on j.id = a.job_id
    where a.finished_at is null and (
      a.assigned_at < now() - make_interval(secs => ${slack.limitSeconds} + coalesce((j.spec ->> 'prepareTimeoutSeconds')::float8, 600)
        + (j.spec ->> 'timeoutSeconds')::float8 + (j.spec ->> 'gracePeriodSeconds')::float8)
      or j.cancel_requested_at < now() - make_interval(secs => ${slack.cancelSeconds} + (j.spec ->> 'gracePeriodSeconds')::float8))
    order by a.id limit 1000`)
  return rows.map((found) => ({ attemptId: found.id, nodeId: found.node_id, leaseToken: found.lease_token }))
}

/** Whose object keys the uploads of an attempt go to. */
export interface UploadOwner {
  accountId: string
  projectId: string
  jobId: string
  diskBytes: number
  /** Whether the attempt is live. One that has ended may still archive its log, if that was not possible before. */
  live: boolean
}

const OwnerRow = Type.Object({
  account_id: Type.String(),
  project_id: Type.String(),
  job_id: Type.String(),
  disk_bytes: Type.Number(),
  live: Type.Boolean(),
})

/** Who owns what a node may upload for an attempt of its own; undefined when it may upload nothing. */
export async function uploadOwner(db: Db, nodeId: string, attemptId: string, leaseToken: string): Promise<UploadOwner | undefined> {
  const found = await db.maybeOne(sql.type(row(OwnerRow))`
    select j.account_id, j.project_id, j.id as job_id, (j.spec ->> 'diskBytes')::int8 as disk_bytes, a.finished_at is null as live
    from attempts a join jobs j on j.id = a.job_id
    where a.id = ${attemptId} and a.node_id = ${nodeId} and a.lease_token = ${leaseToken}
      and (a.finished_at is null or (a.state <> 'lost' and not a.log_archived))`)
  if (!found) return undefined
  return { accountId: found.account_id, projectId: found.project_id, jobId: found.job_id, diskBytes: found.disk_bytes, live: found.live }
}

/** Whose an attempt's events and objects are. */
export function ownerOf(attempt: LeasedAttempt) {
  return { accountId: attempt.accountId, projectId: attempt.projectId, batchId: attempt.batchId, jobId: attempt.jobId }
}
