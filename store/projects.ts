import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { ProjectView, Retention } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const RefRow = row(Type.Object({ id: Type.String(), slug: Type.String() }))
const CountRow = row(Type.Object({ count: Type.Number() }))

/** The objects by whose ids a project is found. */
const TABLES = { job: 'jobs', batch: 'batches', webhook: 'webhook_endpoints', key: 'api_keys' } as const

/** The project of this slug in the account whose view `db` is; undefined when it has none. */
export async function findProject(db: Db, slug: string): Promise<{ id: string; slug: string } | undefined> {
  return (await db.maybeOne(sql.type(RefRow)`select id, slug from projects where slug = ${slug} and deleted_at is null`)) ?? undefined
}

/** The project that has this object, in the account whose view `db` is; undefined when there is none. */
export async function projectOfObject(db: Db, kind: keyof typeof TABLES | 'artifact', id: string): Promise<{ id: string; slug: string } | undefined> {
  const owners =
    kind === 'artifact'
      ? sql.fragment`select j.project_id from artifacts a join jobs j on j.id = a.job_id where a.id = ${id}`
      : sql.fragment`select project_id from ${sql.identifier([TABLES[kind]])} where id = ${id}`
  return (
    (await db.maybeOne(sql.type(RefRow)`
      select p.id, p.slug from (${owners}) o join projects p on p.id = o.project_id where p.deleted_at is null`)) ?? undefined
  )
}

const ProjectRow = row(
  Type.Object({
    id: Type.String(),
    slug: Type.String(),
    name: Type.String(),
    created_at: Type.String(),
    retain_jobs_days: Type.Number(),
    retain_logs_days: Type.Number(),
    retain_artifacts_days: Type.Number(),
  }),
)

/** A page of the projects of the account whose view `db` is, of them those of these ids; the oldest first. */
export async function listProjects(db: Db, ids: readonly string[] | 'all', { after = '', limit }: PageWish<string>): Promise<Page<ProjectView, string>> {
  const wanted = ids === 'all' ? sql.fragment`true` : sql.fragment`id = any(${sql.array([...ids], 'text')})`
  const rows = await db.any(sql.type(ProjectRow)`
    select id, slug, name, created_at, retain_jobs_days, retain_logs_days, retain_artifacts_days from projects
    where deleted_at is null and ${wanted} and id > ${after} order by id limit ${limit + 1}`)
  const toView = (project: (typeof rows)[number]): ProjectView => ({
    id: project.id,
    slug: project.slug,
    name: project.name,
    createdAt: project.created_at,
    retention: { jobsDays: project.retain_jobs_days, logsDays: project.retain_logs_days, artifactsDays: project.retain_artifacts_days },
  })
  return toPage(rows, limit, toView, ({ id }) => id)
}

/** One of them; throws when there is none. */
export async function readProject(db: Db, projectId: string): Promise<ProjectView> {
  const {
    items: [project],
  } = await listProjects(db, [projectId], { limit: 1 })
  if (!project) throw new Error(`project ${projectId} is not there`)
  return project
}

/** Makes a project; undefined when the account has one of this slug. */
export async function createProject(tx: Tx, accountId: string, slug: string, name: string): Promise<string | undefined> {
  const made = await tx.maybeOneFirst(sql.type(row(Type.Object({ id: Type.String() })))`
    insert into projects (id, account_id, slug, name) values (${newId('project')}, ${accountId}, ${slug}, ${name})
    on conflict (account_id, slug) where deleted_at is null do nothing returning id`)
  return made ?? undefined
}

/** Changes what is given of a project. */
export async function changeProject(
  tx: Db,
  projectId: string,
  change: { name?: string | undefined; retention?: Partial<Retention> | undefined },
): Promise<void> {
  const { jobsDays, logsDays, artifactsDays } = change.retention ?? {}
  await tx.query(sql.unsafe`
    update projects set name = coalesce(${change.name ?? null}, name), retain_jobs_days = coalesce(${jobsDays ?? null}, retain_jobs_days),
      retain_logs_days = coalesce(${logsDays ?? null}, retain_logs_days),
      retain_artifacts_days = coalesce(${artifactsDays ?? null}, retain_artifacts_days)
    where id = ${projectId}`)
}

/**
 * Deletes a project: its slug is free, its keys, webhooks and secrets end, and what it kept goes within a day, by its retention.
 * Returns how many of its jobs have not ended; then nothing was changed.
 */
export async function deleteProject(tx: Tx, projectId: string): Promise<number> {
  await tx.query(sql.unsafe`select 1 from projects where id = ${projectId} for update`)
  const open = await tx.oneFirst(sql.type(CountRow)`
    select count(*)::int as count from (select 1 from jobs where project_id = ${projectId} and finished_at is null limit 1000) j`)
  if (open > 0) return open
  await tx.query(sql.unsafe`
    update projects set deleted_at = now(), retain_jobs_days = 1, retain_logs_days = 1, retain_artifacts_days = 1 where id = ${projectId}`)
  await tx.query(sql.unsafe`update api_keys set revoked_at = now() where project_id = ${projectId} and revoked_at is null`)
  await tx.query(sql.unsafe`delete from webhook_endpoints where project_id = ${projectId}`)
  await tx.query(sql.unsafe`delete from secrets where project_id = ${projectId}`)
  return 0
}
