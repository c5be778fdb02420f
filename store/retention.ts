import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { expireDeeds } from './audit.ts'
import { foldCosts } from './cost-fold.ts'
import { HOURS_FROM } from './node-hours.ts'
import { logKey } from './objects.ts'
import { discardObjects } from './pending-objects.ts'
import type { DatabasePool, Tx } from './pool.ts'
import { row } from './row.ts'

const IdRow = row(Type.Object({ id: Type.String() }))
const KeyRow = row(Type.Object({ key: Type.String(), attempt_id: Type.String() }))
const LogRow = row(Type.Object({ attempt_id: Type.String(), job_id: Type.String(), account_id: Type.String(), project_id: Type.String() }))

/** One small step of what is past its retention; returns how many rows it dealt with. Locks rows that nobody else changes any more. */
export interface RetentionStep {
  name: 'artifacts' | 'logs' | 'jobs' | 'batches' | 'webhooks' | 'audit'
  run(db: DatabasePool, limit: number): Promise<number>
}

/** In this order: what belongs to a job goes before it. Only jobs that have ended, each by the days of its project. */
export const RETENTION_STEPS: readonly RetentionStep[] = [
  { name: 'artifacts', run: (db, limit) => db.transaction((tx) => expireArtifacts(tx, limit)) },
  { name: 'logs', run: (db, limit) => db.transaction((tx) => expireLogs(tx, limit)) },
  { name: 'jobs', run: (db, limit) => db.transaction((tx) => deleteJobs(tx, limit)) },
  { name: 'batches', run: (db, limit) => db.transaction((tx) => deleteBatches(tx, limit)) },
  { name: 'webhooks', run: deleteLoneDeliveries },
]

/** The same for the audit log, of all accounts: what was done more than so many days ago, 30 at least. */
export function auditStep(keepDays: number): RetentionStep {
  return { name: 'audit', run: (db, limit) => expireDeeds(db, keepDays, limit) }
}

async function expireArtifacts(tx: Tx, limit: number): Promise<number> {
  const expired = await tx.any(sql.type(KeyRow)`
    update artifacts set expired_at = now()
    where id in (
      select a.id from projects p
        join jobs j on j.project_id = p.id and j.finished_at < now() - make_interval(days => p.retain_artifacts_days)
        join artifacts a on a.job_id = j.id
      where a.expired_at is null limit ${limit})
    returning key, attempt_id`)
  await discardObjects(
    tx,
    expired.map((artifact) => ({ key: artifact.key, attemptId: artifact.attempt_id })),
  )
  return expired.length
}

async function expireLogs(tx: Tx, limit: number): Promise<number> {
  const expired = await tx.any(sql.type(LogRow)`
    update attempts a set log_expired_at = now()
    from jobs j
    where j.id = a.job_id and a.id in (
      select x.id from projects p
        join jobs y on y.project_id = p.id and y.finished_at < now() - make_interval(days => p.retain_logs_days)
        join attempts x on x.job_id = y.id
      where x.log_archived and x.log_expired_at is null limit ${limit})
    returning a.id as attempt_id, j.id as job_id, j.account_id, j.project_id`)
  await discardLogs(tx, expired)
  return expired.length
}

async function deleteJobs(tx: Tx, limit: number): Promise<number> {
  // Not while an event of it waits to be relayed, or to be delivered.
  const jobIds = await tx.anyFirst(sql.type(IdRow)`
    select j.id from projects p
      join jobs j on j.project_id = p.id and j.finished_at < now() - make_interval(days => p.retain_jobs_days)
    -- A batch is counted by its jobs until it has ended.
    where (j.batch_id is null or exists (select 1 from batches b where b.id = j.batch_id and b.finished_at is not null))
      and not exists (select 1 from events e join outbox o on o.event_id = e.id where e.job_id = j.id)
      and not exists (select 1 from webhook_deliveries d where d.job_id = j.id and d.state = 'pending')
      -- Nor before the paid hours are closed that it ran in.
      and not exists (
        select 1 from attempts a join nodes n on n.id = a.node_id
        where a.job_id = j.id and n.next_hour is not null and j.finished_at >= ${HOURS_FROM} + make_interval(hours => n.next_hour))
    limit ${limit} for no key update of j skip locked`)
  if (jobIds.length === 0) return 0
  const these = sql.array([...jobIds], 'text')
  const artifacts = await tx.any(sql.type(KeyRow)`select key, attempt_id from artifacts where job_id = any(${these}) and expired_at is null`)
  await discardObjects(
    tx,
    artifacts.map((artifact) => ({ key: artifact.key, attemptId: artifact.attempt_id })),
  )
  await discardLogs(
    tx,
    await tx.any(sql.type(LogRow)`
      select a.id as attempt_id, j.id as job_id, j.account_id, j.project_id from attempts a join jobs j on j.id = a.job_id
      where j.id = any(${these}) and a.log_archived and a.log_expired_at is null`),
  )
  await foldCosts(tx, jobIds)
  await tx.query(sql.unsafe`delete from artifacts where job_id = any(${these})`)
  await tx.query(sql.unsafe`delete from attempts where job_id = any(${these})`)
  await tx.query(sql.unsafe`delete from webhook_deliveries where job_id = any(${these})`)
  await tx.query(sql.unsafe`delete from events where job_id = any(${these})`)
  await tx.query(sql.unsafe`delete from jobs where id = any(${these})`)
  return jobIds.length
}

async function deleteBatches(tx: Tx, limit: number): Promise<number> {
  const batchIds = await tx.anyFirst(sql.type(IdRow)`
    select b.id from projects p
      join batches b on b.project_id = p.id and b.finished_at < now() - make_interval(days => p.retain_jobs_days)
    where not exists (select 1 from jobs where batch_id = b.id)
      and not exists (select 1 from events e join outbox o on o.event_id = e.id where e.batch_id = b.id and e.job_id is null)
      and not exists (select 1 from webhook_deliveries d where d.batch_id = b.id and d.job_id is null and d.state = 'pending')
    limit ${limit} for no key update of b skip locked`)
  if (batchIds.length === 0) return 0
  const these = sql.array([...batchIds], 'text')
  await tx.query(sql.unsafe`delete from webhook_deliveries where batch_id = any(${these}) and job_id is null`)
  await tx.query(sql.unsafe`delete from events where batch_id = any(${these}) and job_id is null`)
  await tx.query(sql.unsafe`delete from batches where id = any(${these})`)
  return batchIds.length
}

// Pings, and that an endpoint was switched off: what is about no job or batch.
async function deleteLoneDeliveries(db: DatabasePool, limit: number): Promise<number> {
  const deleted = await db.query(sql.unsafe`
    delete from webhook_deliveries where id in (
      select d.id from projects p
        join webhook_deliveries d on d.project_id = p.id and d.finished_at < now() - make_interval(days => p.retain_jobs_days)
      where d.job_id is null and d.batch_id is null limit ${limit})`)
  return deleted.rowCount
}

async function discardLogs(tx: Tx, logs: readonly { attempt_id: string; job_id: string; account_id: string; project_id: string }[]): Promise<void> {
  await discardObjects(
    tx,
    logs.map((log) => ({
      key: logKey({ accountId: log.account_id, projectId: log.project_id, jobId: log.job_id }, log.attempt_id),
      attemptId: log.attempt_id,
    })),
  )
}
