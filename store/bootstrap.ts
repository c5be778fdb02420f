import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { OPERATOR } from '#core/access.ts'
import { newId } from '#core/ids.ts'
import { authenticateKey, createKey } from './api-keys.ts'
import type { DatabasePool, Db } from './pool.ts'
import { row } from './row.ts'
import { hashSecret, newEnrolmentToken } from './secrets.ts'

const IdRow = row(Type.Object({ id: Type.String() }))

/** Makes the first account with a project of this slug, unless they exist; returns the project's id. */
export async function ensureProject(db: Db, slug: string): Promise<string> {
  return db.transaction(async (tx) => {
    await tx.query(sql.unsafe`select pg_advisory_xact_lock(7246301124)`)
    const found = await tx.maybeOneFirst(sql.type(IdRow)`select id from projects where slug = ${slug} and deleted_at is null order by created_at limit 1`)
    if (found) return found
    const accountId = newId('account')
    const projectId = newId('project')
    await tx.query(sql.unsafe`insert into accounts (id, name) values (${accountId}, 'default')`)
    await tx.query(sql.unsafe`insert into projects (id, account_id, slug, name) values (${projectId}, ${accountId}, ${slug}, ${slug})`)
    return projectId
  })
}

/** Makes an API key of the project; the key itself is returned once and only its hash kept. By default it is that of an operator. */
export async function createApiKey(db: Db, projectId: string, name: string, scopes: readonly string[] = ['*', OPERATOR]): Promise<string> {
  const accountId = await db.oneFirst(sql.type(IdRow)`select account_id as id from projects where id = ${projectId}`)
  const made = await createKey(db, { accountId, projectId }, { name, scopes, environment: 'live', expiresInSeconds: null, createdBy: null })
  return made.key
}

/** Whether the key is one that works now. */
export async function isLiveApiKey(db: DatabasePool, key: string): Promise<boolean> {
  return (await authenticateKey(db, key)) !== undefined
}

/** Makes a one-time enrolment token, for whichever machine shows it or for one that was bought; returned once, only its hash kept. */
export async function createEnrolmentToken(db: Db, ttlSeconds: number, forNodeId: string | null = null): Promise<string> {
  const token = newEnrolmentToken()
  await db.query(sql.unsafe`
    insert into enrolment_tokens (id, hash, expires_at, for_node_id)
    values (${newId('enrolmentToken')}, ${sql.binary(hashSecret(token))}, now() + make_interval(secs => ${ttlSeconds}), ${forNodeId})`)
  return token
}
