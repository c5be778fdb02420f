import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { Decision } from '#core/job/outcome.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import type { AttemptState, Cause } from '#core/job/state.ts'
import { recordEvents } from './events.ts'
import { artifactKey } from './objects.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const maybe = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()])

const LeasedRow = Type.Object({
  attempt_id: Type.String(),
  number: Type.Number(),
  node_id: Type.String(),
  attempt_finished: Type.Boolean(),
  attempt_state: Type.String(),
  job_id: Type.String(),
  account_id: Type.String(),
  project_id: Type.String(),
  batch_id: maybe(Type.String()),
  spec: Type.Unsafe<ResolvedSpec>(Type.Object({})),
  retries_used: Type.Number(),
  infra_retries_used: Type.Number(),
  cancel_requested: Type.Boolean(),
})

/** An attempt with what is needed to end it; its job row is locked. */
export interface LeasedAttempt {
  attemptId: string
  number: number
  nodeId: string
  finished: boolean
  state: AttemptState
  jobId: string
  accountId: string
  projectId: string
  batchId: string | null
  spec: ResolvedSpec
  retriesUsed: number
  infraRetriesUsed: number
  cancelRequested: boolean
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
    select a.id as attempt_id, a.number, a.node_id, a.finished_at is not null as attempt_finished, a.state as attempt_state,
      j.id as job_id, j.account_id, j.project_id, j.batch_id, j.spec, j.retries_used, j.infra_retries_used,
      j.cancel_requested_at is not null as cancel_requested
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
    jobId: found.job_id,
    accountId: found.account_id,
    projectId: found.project_id,
    batchId: found.batch_id,
    spec: found.spec,
    retriesUsed: found.retries_used,
    infraRetriesUsed: found.infra_retries_used,
    cancelRequested: found.cancel_requested,
  }
}

/** Notes a step of a live attempt and, when the container runs, that the job has started. */
export async function recordProgress(tx: Tx, attempt: LeasedAttempt, state: 'preparing' | 'running' | 'finishing', imageDigest: string | null): Promise<void> {
  const started = state === 'running' ? sql.fragment`, started_at = now()` : sql.fragment``
  await tx.query(sql.unsafe`
    update attempts set state = ${state}, image_digest = coalesce(${imageDigest}, image_digest) ${started} where id = ${attempt.attemptId}`)
  await tx.query(sql.unsafe`update jobs set reason = ${`${state} on ${attempt.nodeId}`} where id = ${attempt.jobId}`)
  if (state === 'running') {
    await recordEvents(tx, [
      { ...ownerOf(attempt), type: 'job.started', data: { state: 'running', attempt: attempt.number, attemptId: attempt.attemptId, nodeId: attempt.nodeId } },
    ])
  }
}

/** How an attempt is to be written down. */
export interface AttemptRecord {
  state: AttemptState
  cause: Cause
  exitCode: number | null
  message: string | null
  imageDigest: string | null
  startedAtMs: number | null
  logSeq: number | null
  logArchived: boolean
  artifacts: readonly { path: string; sizeBytes: number; sha256: string; executable: boolean }[]
  warnings: readonly string[]
}

/** Ends a live attempt. */
export async function finishAttempt(tx: Tx, attempt: LeasedAttempt, record: AttemptRecord): Promise<void> {
  const startedAt = record.startedAtMs === null ? null : new Date(record.startedAtMs).toISOString()
  await tx.query(sql.unsafe`
    update attempts set state = ${record.state}, cause = ${record.cause}, exit_code = ${record.exitCode}, message = ${record.message},
      image_digest = coalesce(${record.imageDigest}, image_digest), started_at = coalesce(${startedAt}::timestamptz, started_at),
      log_seq = ${record.logSeq}, log_archived = ${record.logArchived}, finished_at = now()
    where id = ${attempt.attemptId}`)
  if (record.artifacts.length === 0) return
  const rows = record.artifacts.map((artifact) => ({ id: newId('artifact'), ...artifact, key: artifactKey(attempt, attempt.attemptId, artifact.path) }))
  await tx.query(sql.unsafe`
    insert into artifacts (id, job_id, attempt_id, path, size_bytes, sha256, executable, key)
    select a.id, ${attempt.jobId}, ${attempt.attemptId}, a.path, a."sizeBytes", a.sha256, a.executable, a.key
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as a(id text, path text, "sizeBytes" bigint, sha256 text, executable boolean, key text)
    on conflict (attempt_id, path) do nothing`)
}

/** Does with the job what was decided after its attempt ended. */
export async function applyDecision(tx: Tx, attempt: LeasedAttempt, decision: Decision, record: AttemptRecord): Promise<void> {
  const data = { attempt: attempt.number, attemptId: attempt.attemptId, nodeId: attempt.nodeId, attemptCause: record.cause, exitCode: record.exitCode }
  if (!('spends' in decision)) {
    const cause = decision.to === 'cancelled' ? 'cancelled' : record.cause
    await tx.query(sql.unsafe`
      update jobs set state = ${decision.to}, cause = ${cause}, exit_code = ${record.exitCode}, message = ${record.message}, reason = null,
        warnings = ${sql.array([...record.warnings], 'text')}, finished_at = now()
      where id = ${attempt.jobId}`)
    await recordEvents(tx, [{ ...ownerOf(attempt), type: `job.${decision.to}`, data: { ...data, state: decision.to, cause, message: record.message } }])
    return
  }
  const retry = decision.spends === 'retry' ? 1 : 0
  const held = decision.to === 'held'
  await tx.query(sql.unsafe`
    update jobs set state = ${decision.to}, hold = ${held ? 'backoff' : null},
      hold_until = ${held ? sql.fragment`now() + make_interval(secs => ${decision.delaySeconds})` : null},
      reason = ${held ? `${decision.reason} in ${decision.delaySeconds} s` : decision.reason},
      retries_used = retries_used + ${retry}, infra_retries_used = infra_retries_used + ${1 - retry}
    where id = ${attempt.jobId}`)
  await recordEvents(tx, [
    { ...ownerOf(attempt), type: 'job.requeued', data: { ...data, state: decision.to, reason: decision.reason, delaySeconds: decision.delaySeconds } },
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

/** Whose object keys the uploads of a live attempt go to; undefined when the lease is not live. */
export async function leaseOwner(
  db: Db,
  nodeId: string,
  attemptId: string,
  leaseToken: string,
): Promise<{ accountId: string; projectId: string; jobId: string; diskBytes: number } | undefined> {
  const found = await db.maybeOne(sql.type(
    row(Type.Object({ account_id: Type.String(), project_id: Type.String(), job_id: Type.String(), disk_bytes: Type.Number() })),
  )`
    select j.account_id, j.project_id, j.id as job_id, (j.spec ->> 'diskBytes')::int8 as disk_bytes
    from attempts a join jobs j on j.id = a.job_id
    where a.id = ${attemptId} and a.node_id = ${nodeId} and a.lease_token = ${leaseToken} and a.finished_at is null`)
  return found ? { accountId: found.account_id, projectId: found.project_id, jobId: found.job_id, diskBytes: found.disk_bytes } : undefined
}

function ownerOf(attempt: LeasedAttempt) {
  return { accountId: attempt.accountId, projectId: attempt.projectId, batchId: attempt.batchId, jobId: attempt.jobId }
}
