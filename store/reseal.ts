import { Type } from '@sinclair/typebox'
import { type ListSqlToken, sql } from 'slonik'
import type { Sealer } from '#core/sealer.ts'
import { answerContext } from './idempotency.ts'
import type { DatabasePool, Tx } from './pool.ts'
import { secretContext } from './project-secrets.ts'
import { row } from './row.ts'
import { webhookSecretContext } from './webhooks.ts'

/** Texts that are sealed, how one of them is found, and what place each was sealed for. */
interface Place {
  table: string
  column: string
  /** What names a row, in the order of its arguments below. */
  keys: readonly string[]
  context(keys: readonly string[]): string
}

const PLACES: readonly Place[] = [
  {
    table: 'secrets',
    column: 'sealed',
    keys: ['account_id', 'project_id', 'name'],
    context: ([accountId = '', projectId = '', name = '']) => secretContext({ accountId, projectId }, name),
  },
  { table: 'webhook_secrets', column: 'secret', keys: ['endpoint_id', 'id'], context: ([endpointId = '']) => webhookSecretContext(endpointId) },
  {
    table: 'idempotency_keys',
    column: 'answer',
    keys: ['account_id', 'scope', 'key'],
    context: ([accountId = '', scope = '', key = '']) => answerContext({ accountId, scope, key }),
  },
]

const SealedRow = row(Type.Object({ at: Type.Array(Type.String()), sealed: Type.String() }))
const BATCH = 200

/** What came of it: how many are sealed anew, and where something lies that no key opens. */
export interface Resealed {
  resealed: number
  unopened: string[]
}

/**
 * Seals everything with the first key of the sealer, a few hundred rows a transaction, beside gateways and schedulers that
 * run. Can be ended anywhere and begun again. What changes meanwhile is locked or seen in its newest form, never overwritten.
 */
export async function resealAll(db: DatabasePool, sealer: Sealer): Promise<Resealed> {
  const done: Resealed = { resealed: 0, unopened: [] }
  for (const place of PLACES) {
    let after: string[] | undefined
    do after = await db.transaction((tx) => resealSome(tx, sealer, place, after, done))
    while (after)
  }
  return done
}

/** Returns where to go on; undefined at the end. */
async function resealSome(tx: Tx, sealer: Sealer, place: Place, after: string[] | undefined, done: Resealed): Promise<string[] | undefined> {
  const table = sql.identifier([place.table])
  const column = sql.identifier([place.column])
  const keys = sql.join(
    place.keys.map((key) => sql.fragment`${sql.identifier([key])}::text`),
    sql.fragment`, `,
  )
  const row = (values: readonly string[]): ListSqlToken => sql.join([...values], sql.fragment`, `)
  const found = await tx.any(sql.type(SealedRow)`
    select array[${keys}] as at, ${column} as sealed from ${table}
    where ${column} is not null and ${after ? sql.fragment`(${keys}) > (${row(after)})` : sql.fragment`true`}
    order by ${keys} limit ${BATCH} for update`)
  for (const { at, sealed } of found) {
    let anew: string | undefined
    try {
      anew = sealer.reseal(sealed, place.context(at))
    } catch {
      done.unopened.push(`${place.table} ${at.join('/')}`)
    }
    if (anew === undefined) continue
    await tx.query(sql.unsafe`update ${table} set ${column} = ${anew} where (${keys}) = (${row(at)})`)
    done.resealed++
  }
  return found.length < BATCH ? undefined : [...(found.at(-1)?.at ?? [])]
}
