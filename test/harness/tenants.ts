import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { changeLimits } from '#store/limits.ts'
import type { Db } from '#store/pool.ts'
import { aSpec } from './spec.ts'

/** An account with a project, for tests of what several do at once. */
export interface Tenant {
  accountId: string
  projectId: string
}

/** Makes one; `weight` is its share. */
export async function makeTenant(admin: Db, weight?: number): Promise<Tenant> {
  const accountId = newId('account')
  await admin.query(sql.unsafe`insert into accounts (id, name) values (${accountId}, ${accountId.slice(-6)})`)
  if (weight !== undefined) await changeLimits(admin, { accountId, projectId: null }, { weight })
  return { accountId, projectId: await makeProject(admin, accountId) }
}

/** Another project of an account. */
export async function makeProject(admin: Db, accountId: string): Promise<string> {
  const projectId = newId('project')
  await admin.query(
    sql.unsafe`insert into projects (id, account_id, slug, name) values (${projectId}, ${accountId}, ${projectId.slice(5).replaceAll('_', '-')}, 'x')`,
  )
  return projectId
}

/** So many rows are written by one statement, which has a time limit. */
const CHUNK = 10_000

/** Queues so many jobs, written directly. */
export async function queueJobs(admin: Db, { accountId, projectId }: Tenant, jobs: number, change: { slots?: number; priority?: number } = {}): Promise<void> {
  const spec = JSON.stringify(aSpec())
  for (let left = jobs; left > 0; left -= CHUNK)
    await admin.query(sql.unsafe`
      insert into jobs (id, account_id, project_id, spec, slots, memory_bytes, priority, state, reason)
      select 'job_' || replace(gen_random_uuid()::text, '-', ''), ${accountId}, ${projectId}, ${spec}::jsonb, ${change.slots ?? 1}::smallint, 1048576,
        ${change.priority ?? 0}::smallint, 'queued', 'waiting for a slot'
      from generate_series(1, ${Math.min(left, CHUNK)}::int)`)
}
