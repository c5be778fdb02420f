import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** For how long an answer is kept. */
const KEPT_HOURS = 24
const MOST_DELETED = 1000

/** A request that names itself: within an account by the project (or 'account') and the key. */
export interface RequestName {
  accountId: string
  scope: string
  key: string
  /** SHA-256 of what is asked: method, address and body. */
  hash: Buffer
}

/** The place of the answer to a request, for its seal. */
export function answerContext({ accountId, scope, key }: Pick<RequestName, 'accountId' | 'scope' | 'key'>): string {
  return `answer/${accountId}/${scope}/${key}`
}

/** `new`: do it; `done`: this was answered; `other`: the same name was used for something else. */
export type Known = { state: 'new' } | { state: 'done'; status: number; answer: string } | { state: 'other' }

const KnownRow = row(Type.Object({ same: Type.Boolean(), status: maybe(Type.Number()), answer: maybe(Type.String()) }))

/**
 * Begins a request in the transaction that does what it asks. A second one of the same name waits here until the first is
 * over: then it gets its answer or, when that failed, is the first itself.
 */
export async function beginRequest(tx: Tx, name: RequestName): Promise<Known> {
  const hash = sql.binary(name.hash)
  const begun = await tx.query(sql.unsafe`
    insert into idempotency_keys as k (account_id, scope, key, request_hash) values (${name.accountId}, ${name.scope}, ${name.key}, ${hash})
    on conflict (account_id, scope, key) do update set request_hash = excluded.request_hash, status = null, answer = null, created_at = now()
    where k.created_at < now() - make_interval(hours => ${KEPT_HOURS})`)
  if (begun.rowCount > 0) return { state: 'new' }
  const known = await tx.one(sql.type(KnownRow)`
    select request_hash = ${hash} as same, status, answer from idempotency_keys
    where account_id = ${name.accountId} and scope = ${name.scope} and key = ${name.key}`)
  if (!known.same) return { state: 'other' }
  if (known.status === null || known.answer === null) throw new Error(`the request ${name.key} was stored without its answer`)
  return { state: 'done', status: known.status, answer: known.answer }
}

/** Writes down what is answered, in the same transaction. */
export async function endRequest(tx: Tx, name: RequestName, status: number, answer: string): Promise<void> {
  await tx.query(sql.unsafe`
    update idempotency_keys set status = ${status}, answer = ${answer}
    where account_id = ${name.accountId} and scope = ${name.scope} and key = ${name.key}`)
}

/** Forgets answers that were kept long enough. */
export async function deleteOldAnswers(db: Db): Promise<number> {
  const deleted = await db.query(sql.unsafe`
    delete from idempotency_keys where (account_id, scope, key) in (
      select account_id, scope, key from idempotency_keys where created_at < now() - make_interval(hours => ${KEPT_HOURS}) order by created_at limit ${MOST_DELETED}
    )`)
  return deleted.rowCount
}
