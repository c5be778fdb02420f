import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { OPERATOR } from '#core/access.ts'
import { newId } from '#core/ids.ts'
import { authenticateKey, createKey } from './api-keys.ts'
import type { DatabasePool, Db, Tx } from './pool.ts'
import { row } from './row.ts'
import { hashSecret, newEnrolmentToken } from './secrets.ts'

const IdRow = row(Type.Object({ id: Type.String() }))

/**
 * A project of an operator's own account, which is made, as the account is, unless it exists; returns the project's id. Never one
 * of an account that came from an OpenID provider, whatever its name: a stranger's project may have the same slug.
 */
export async function ensureProject(db: Db, account: string, slug: string): Promise<string> {
  return db.transaction(async (tx) => {
    await tx.query(sql.unsafe`select pg_advisory_xact_lock(7246301124)`)
    const found = await tx.maybeOneFirst(sql.type(IdRow)`
      select p.id from projects p join accounts a on a.id = p.account_id
      where a.issuer is null and a.name = ${account} and p.slug = ${slug} and p.deleted_at is null order by p.created_at limit 1`)
    if (found) return found
    const projectId = newId('project')
    await tx.query(sql.unsafe`
      insert into projects (id, account_id, slug, name) values (${projectId}, ${await ensureAccount(tx, account)}, ${slug}, ${slug})`)
    return projectId
  })
}

async function ensureAccount(tx: Tx, name: string): Promise<string> {
  const found = await tx.maybeOneFirst(sql.type(IdRow)`select id from accounts where issuer is null and name = ${name} order by created_at limit 1`)
  if (found) return found
  const id = newId('account')
  await tx.query(sql.unsafe`insert into accounts (id, name) values (${id}, ${name})`)
  return id
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
