import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { ProjectView } from '#core/api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'
import { hashSecret } from './secrets.ts'

/** Who a valid API key speaks for. */
export interface Principal {
  keyId: string
  accountId: string
  projectId: string
  projectSlug: string
  /** What the key may do: `*` is everything, `operator` what operators do. */
  scopes: readonly string[]
}

const KeyRow = Type.Object({
  id: Type.String(),
  account_id: Type.String(),
  project_id: Type.String(),
  slug: Type.String(),
  scopes: Type.Array(Type.String()),
  seen_recently: Type.Boolean(),
})

/** Whom the key speaks for; undefined when it is unknown, revoked or expired. Notes its use at most once a minute. */
export async function authenticateKey(db: Db, key: string): Promise<Principal | undefined> {
  const found = await db.maybeOne(sql.type(row(KeyRow))`
    select k.id, p.account_id, p.id as project_id, p.slug, k.scopes,
      coalesce(k.last_used_at > now() - interval '1 minute', false) as seen_recently
    from api_keys k join projects p on p.id = k.project_id
    where k.hash = ${sql.binary(hashSecret(key))} and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())`)
  if (!found) return undefined
  if (!found.seen_recently)
    await db.query(sql.unsafe`
      update api_keys set last_used_at = now()
      where id = ${found.id} and (last_used_at is null or last_used_at <= now() - interval '1 minute')`)
  return { keyId: found.id, accountId: found.account_id, projectId: found.project_id, projectSlug: found.slug, scopes: found.scopes }
}

const ProjectRow = Type.Object({
  id: Type.String(),
  slug: Type.String(),
  name: Type.String(),
  created_at: Type.String(),
  retain_jobs_days: Type.Number(),
  retain_logs_days: Type.Number(),
  retain_artifacts_days: Type.Number(),
})

/** A project as the API shows it. */
export async function readProject(db: Db, projectId: string): Promise<ProjectView> {
  const project = await db.one(sql.type(row(ProjectRow))`
    select id, slug, name, created_at, retain_jobs_days, retain_logs_days, retain_artifacts_days from projects where id = ${projectId}`)
  return {
    id: project.id,
    slug: project.slug,
    name: project.name,
    createdAt: project.created_at,
    retention: { jobsDays: project.retain_jobs_days, logsDays: project.retain_logs_days, artifactsDays: project.retain_artifacts_days },
  }
}
