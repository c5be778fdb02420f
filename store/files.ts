import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { fileKey } from './objects.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const FileRow = Type.Object({ id: Type.String(), key: Type.String(), size_bytes: Type.Number(), state: Type.Unsafe<'pending' | 'ready'>(Type.String()) })

/** A file of a project, known by its content. */
export interface StoredFile {
  id: string
  key: string
  sizeBytes: number
  state: 'pending' | 'ready'
}

/** The project's file of this content: the one that is there, or a new one that waits for its upload. */
export async function ensureFile(db: Db, owner: { accountId: string; projectId: string }, sha256: string, sizeBytes: number): Promise<StoredFile> {
  const file = await db.one(sql.type(row(FileRow))`
    insert into files (id, account_id, project_id, sha256, size_bytes, key, state)
    values (${newId('file')}, ${owner.accountId}, ${owner.projectId}, ${sha256}, ${sizeBytes}, ${fileKey(owner.accountId, owner.projectId, sha256)}, 'pending')
    on conflict (project_id, sha256) do update
      set size_bytes = case when files.state = 'ready' then files.size_bytes else excluded.size_bytes end, state = files.state, announced_at = now()
    returning id, key, size_bytes, state`)
  return toFile(file)
}

/** The project's file of this content as it is now; undefined when it was never announced. */
export async function findFile(db: Db, projectId: string, sha256: string): Promise<StoredFile | undefined> {
  const file = await db.maybeOne(sql.type(row(FileRow))`
    select id, key, size_bytes, state from files where project_id = ${projectId} and sha256 = ${sha256}`)
  return file ? toFile(file) : undefined
}

function toFile({ id, key, size_bytes, state }: Static<typeof FileRow>): StoredFile {
  return { id, key, sizeBytes: size_bytes, state }
}

/** Notes that a file's bytes are there. */
export async function markFileReady(db: Db, fileId: string): Promise<void> {
  await db.query(sql.unsafe`update files set state = 'ready' where id = ${fileId}`)
}
