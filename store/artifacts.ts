import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { ArtifactView } from '#core/api.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const ArtifactRow = Type.Object({
  id: Type.String(),
  job_id: Type.String(),
  path: Type.String(),
  size_bytes: Type.Number(),
  sha256: Type.String(),
  executable: Type.Boolean(),
  expired: Type.Boolean(),
  created_at: Type.String(),
})

/** A page of the outputs of a job, by path: those of the attempt that decided it. */
export async function listArtifacts(db: Db, jobId: string, { after = '', limit }: PageWish<string>): Promise<Page<ArtifactView, string>> {
  const rows = await db.any(sql.type(row(ArtifactRow))`
    select a.id, a.job_id, a.path, a.size_bytes, a.sha256, a.executable, a.expired_at is not null as expired, a.created_at
    from artifacts a join jobs j on j.id = a.job_id and j.attempt_id = a.attempt_id where a.job_id = ${jobId} and a.path > ${after}
    order by a.path limit ${limit + 1}`)
  const toView = ({ job_id, size_bytes, created_at, ...artifact }: (typeof rows)[number]) => ({
    ...artifact,
    jobId: job_id,
    sizeBytes: size_bytes,
    createdAt: created_at,
  })
  return toPage(rows, limit, toView, ({ path }) => path)
}

/** Where an artifact of the project lies; undefined when it has none of this id. */
export async function findArtifact(db: Db, projectId: string, artifactId: string): Promise<{ key: string; path: string; expired: boolean } | undefined> {
  const found = await db.maybeOne(sql.type(row(Type.Object({ key: Type.String(), path: Type.String(), expired: Type.Boolean() })))`
    select a.key, a.path, a.expired_at is not null as expired from artifacts a join jobs j on j.id = a.job_id where a.id = ${artifactId} and j.project_id = ${projectId}`)
  return found ?? undefined
}
