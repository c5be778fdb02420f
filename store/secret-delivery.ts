import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { SecretKind } from '#core/secret-api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const SealedRow = row(
  Type.Object({
    accountId: Type.String(),
    projectId: Type.String(),
    name: Type.String(),
    kind: Type.Unsafe<SecretKind>(Type.String()),
    server: Type.Union([Type.String(), Type.Null()]),
    sealed: Type.String(),
  }),
)

/** A secret as it lies in the database; the place it was sealed for is `secretContext` of it. */
export interface SealedSecret {
  accountId: string
  projectId: string
  name: string
  kind: SecretKind
  server: string | null
  sealed: string
}

/** What a job that was claimed is to get: values by their names, and credentials of the registry of its image. */
export interface WantedSecrets {
  projectId: string
  names: readonly string[]
  server: string
}

/** The secrets of these jobs, and notes, to the minute, that they were used. What there is not, or no more, is not among them. */
export async function takeSecrets(db: Db, wanted: readonly WantedSecrets[]): Promise<SealedSecret[]> {
  if (wanted.length === 0) return []
  const values = wanted.flatMap(({ projectId, names }) => names.map((name) => ({ projectId, name })))
  const found = await db.any(sql.type(SealedRow)`
    with wanted as (
      select s.id from jsonb_to_recordset(${JSON.stringify(values)}::jsonb) as w("projectId" text, name text)
      join secrets s on s.project_id = w."projectId" and s.name = w.name and s.kind = 'value'
      union
      select s.id from jsonb_to_recordset(${JSON.stringify(wanted.map(({ projectId, server }) => ({ projectId, server })))}::jsonb) as w("projectId" text, server text)
      join secrets s on s.project_id = w."projectId" and s.registry_server = w.server and s.kind = 'registry'
    ), used as (
      update secrets set last_used_at = now()
      where id in (select id from wanted) and (last_used_at is null or last_used_at <= now() - interval '1 minute')
    )
    select account_id as "accountId", project_id as "projectId", name, kind, registry_server as server, sealed
    from secrets where id in (select id from wanted)`)
  return [...found]
}
