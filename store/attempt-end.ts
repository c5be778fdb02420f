import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { Decision } from '#core/job/outcome.ts'
import type { AttemptState, Cause } from '#core/job/state.ts'
import { type LeasedAttempt, ownerOf, recordStarted } from './attempts.ts'
import { recordEvents } from './events.ts'
import { QUEUE_UNTIL } from './holds.ts'
import { artifactKey, logKey } from './objects.ts'
import { settleObjects } from './pending-objects.ts'
import type { Tx } from './pool.ts'
import { row } from './row.ts'

const OwnerRow = row(Type.Object({ account_id: Type.String(), project_id: Type.String(), job_id: Type.String() }))

/** How an attempt is to be written down. */
export interface AttemptRecord {
  state: AttemptState
  cause: Cause
  /** Whether it speaks against its node. */
  nodeFault: boolean
  exitCode: number | null
  message: string | null
  imageDigest: string | null
  startedAtMs: number | null
  logSeq: number | null
  logArchived: boolean
  artifacts: readonly { path: string; sizeBytes: number; sha256: string; executable: boolean }[]
  warnings: readonly string[]
}

/** Nobody pays for a machine that was lost, or a fault of ours. */
const FREE: readonly Cause[] = ['lost', 'interrupted', 'runner_error']

/**
 * What an attempt costs: its time on the node by the price of the job; never more than is reserved for it, so that what is
 * reserved at the submit is the most that a job can cost.
 */
const costOf = (cause: Cause) =>
  FREE.includes(cause)
    ? sql.fragment`0`
    : sql.fragment`least(j.attempt_microns, j.reserved_microns, ceil(extract(epoch from now() - a.assigned_at) * j.slot_hour_microns * j.slots / 3600)::bigint)`

/** Ends a live attempt: what it uploaded and did not report is not wanted. */
export async function finishAttempt(tx: Tx, attempt: LeasedAttempt, record: AttemptRecord): Promise<void> {
  const startedAt = record.startedAtMs === null ? null : new Date(record.startedAtMs).toISOString()
  await tx.query(sql.unsafe`
    with ended as (
      update attempts a set state = ${record.state}, cause = ${record.cause}, node_fault = ${record.nodeFault}, exit_code = ${record.exitCode}, message = ${record.message},
        image_digest = coalesce(${record.imageDigest}, image_digest), started_at = coalesce(${startedAt}::timestamptz, a.started_at),
        log_seq = ${record.logSeq}, log_archived = ${record.logArchived}, finished_at = now(), cost_microns = ${costOf(record.cause)}
      from jobs j where a.id = ${attempt.attemptId} and j.id = a.job_id
      returning j.id, j.account_id, j.project_id, j.created_at, a.cost_microns
    ), entry as (
      insert into usage_entries (account_id, project_id, month, reserved_microns, spent_microns)
      select account_id, project_id, date_trunc('month', created_at at time zone 'utc'), -cost_microns, cost_microns from ended where cost_microns > 0
    )
    update jobs j set reserved_microns = j.reserved_microns - e.cost_microns from ended e where j.id = e.id and e.cost_microns > 0`)
  // The word that it runs was lost, or came too late.
  if (record.startedAtMs !== null && !attempt.started) await recordStarted(tx, attempt)
  const rows = record.artifacts.map((artifact) => ({ id: newId('artifact'), ...artifact, key: artifactKey(attempt, attempt.attemptId, artifact.path) }))
  const kept = rows.map((artifact) => artifact.key)
  await settleObjects(tx, attempt.attemptId, record.logArchived ? [...kept, logKey(attempt, attempt.attemptId)] : kept)
  if (rows.length === 0) return
  await tx.query(sql.unsafe`
    insert into artifacts (id, account_id, job_id, attempt_id, path, size_bytes, sha256, executable, key)
    select a.id, ${attempt.accountId}, ${attempt.jobId}, ${attempt.attemptId}, a.path, a."sizeBytes", a.sha256, a.executable, a.key
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
  const spent = (kind: typeof decision.spends) => (decision.spends === kind ? 1 : 0)
  const held = decision.to === 'held'
  const failedIt = decision.spends === 'infra' || record.nodeFault
  await tx.query(sql.unsafe`
    update jobs j set state = ${decision.to}, hold = ${held ? 'backoff' : null},
      hold_until = ${held ? sql.fragment`now() + make_interval(secs => ${decision.delaySeconds})` : null},
      queue_until = ${held ? null : QUEUE_UNTIL}, reason = ${decision.reason},
      retries_used = retries_used + ${spent('retry')}, infra_retries_used = infra_retries_used + ${spent('infra')},
      avoid_nodes = ${failedIt ? sql.fragment`array_append(array_remove(avoid_nodes, ${attempt.nodeId}), ${attempt.nodeId})` : sql.fragment`avoid_nodes`}
    where id = ${attempt.jobId}`)
  await recordEvents(tx, [
    { ...ownerOf(attempt), type: 'job.requeued', data: { ...data, state: decision.to, reason: decision.reason, delaySeconds: decision.delaySeconds } },
  ])
}

/**
 * Keeps what a node says of an attempt that was taken from it (lost, and run again elsewhere): the first word of it, to be
 * seen in the attempt's history. Changes nothing else. False when there is no such attempt.
 */
export async function recordLateResult(
  tx: Tx,
  nodeId: string,
  attemptId: string,
  leaseToken: string,
  late: { cause: Cause; exitCode: number | null },
): Promise<boolean> {
  const result = await tx.query(sql.unsafe`
    update attempts set late_cause = ${late.cause}, late_exit_code = ${late.exitCode}, late_at = now()
    where id = ${attemptId} and node_id = ${nodeId} and lease_token = ${leaseToken} and state = 'lost' and late_at is null`)
  return result.rowCount > 0
}

/** Notes that the log of an attempt that has ended lies in the archive now. False when it is not this node's. */
export async function recordLogArchived(tx: Tx, nodeId: string, attemptId: string, leaseToken: string, logSeq: number): Promise<boolean> {
  const found = await tx.maybeOne(sql.type(OwnerRow)`
    update attempts a set log_archived = true, log_seq = coalesce(log_seq, ${logSeq})
    from jobs j
    where a.id = ${attemptId} and a.node_id = ${nodeId} and a.lease_token = ${leaseToken} and a.finished_at is not null and a.state <> 'lost'
      and j.id = a.job_id
    returning j.account_id, j.project_id, j.id as job_id`)
  if (!found) return false
  await settleObjects(tx, attemptId, [logKey({ accountId: found.account_id, projectId: found.project_id, jobId: found.job_id }, attemptId)])
  return true
}
