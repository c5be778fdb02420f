import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { EnrolRequest } from '#core/operator-api.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'
import { hashSecret } from './secrets.ts'

const TokenRow = Type.Object({ id: Type.String(), for_node_id: Type.Union([Type.String(), Type.Null()]), node_id: Type.Union([Type.String(), Type.Null()]) })
const EnrolledRow = Type.Object({ id: Type.String(), pool: Type.String(), state: Type.String(), public_key: Type.Union([Type.String(), Type.Null()]) })

/** What becomes of an enrolment. `early`: the order of this machine is not on record yet; it is to ask again. */
export type Enrolment = { status: 'enrolled'; nodeId: string; pool: string } | { status: 'early' } | { status: 'refused' }

const REFUSED: Enrolment = { status: 'refused' }

/**
 * Makes a node of a one-time token: of two that try with the same one, one wins. The winner may ask again with the same
 * key, as an answer can be lost on its way. A token that was made for a node makes that one ready and no other, in the pool
 * and with the name that it was ordered with, and with no more room than was bought.
 */
export async function enrolNode(db: Db, request: EnrolRequest): Promise<Enrolment> {
  const hash = sql.binary(hashSecret(request.token))
  return db.transaction(async (tx) => {
    // The node before its tokens, as those do who record an order.
    await tx.query(sql.unsafe`select id from nodes where id = (select for_node_id from enrolment_tokens where hash = ${hash}) for no key update`)
    const token = await tx.maybeOne(sql.type(row(TokenRow))`
      select id, for_node_id, node_id from enrolment_tokens where hash = ${hash} and expires_at > now() for update`)
    if (!token) return REFUSED
    const nodeId = token.node_id ?? token.for_node_id
    const node = nodeId === null ? null : await tx.one(sql.type(row(EnrolledRow))`select id, pool, state, public_key from nodes where id = ${nodeId}`)
    if (token.node_id !== null) return node && isPresent(node.state) && node.public_key === request.publicKey ? enrolled(node) : REFUSED
    const made = node ? await enrolBought(tx, node, request) : await insertNode(tx, request)
    if (made.status === 'enrolled') await tx.query(sql.unsafe`update enrolment_tokens set used_at = now(), node_id = ${made.nodeId} where id = ${token.id}`)
    return made
  })
}

async function enrolBought(tx: Tx, node: Static<typeof EnrolledRow>, request: EnrolRequest): Promise<Enrolment> {
  // It can be quicker than the answer to its order, which may also have been lost: it is found by its name then.
  if (node.state === 'planned' || node.state === 'creating') return { status: 'early' }
  if (node.state !== 'booting') return REFUSED
  await tx.query(sql.unsafe`
    update nodes set state = 'ready', public_key = ${request.publicKey}, version = ${request.version}, enrolled_at = now(),
      slots = least(slots, ${request.slots}), memory_bytes = least(memory_bytes, ${request.memoryBytes})
    where id = ${node.id}`)
  return enrolled(node)
}

async function insertNode(tx: Tx, request: EnrolRequest): Promise<Enrolment> {
  const nodeId = newId('node')
  await tx.query(sql.unsafe`
    insert into nodes (id, name, pool, public_key, state, slots, memory_bytes, version, enrolled_at)
    values (${nodeId}, ${request.name}, ${request.pool}, ${request.publicKey}, 'ready', ${request.slots}, ${request.memoryBytes}, ${request.version}, now())`)
  return { status: 'enrolled', nodeId, pool: request.pool }
}

function enrolled(node: { id: string; pool: string }): Enrolment {
  return { status: 'enrolled', nodeId: node.id, pool: node.pool }
}

function isPresent(state: string): boolean {
  return state === 'ready' || state === 'draining' || state === 'lost'
}

const KeyRow = Type.Object({ public_key: Type.String(), pool: Type.String() })

/** The key of a node that may speak; undefined when there is none of this id, it has not enrolled, or it has ended. */
export async function nodeKey(db: Db, nodeId: string): Promise<{ publicKey: string; pool: string } | undefined> {
  const found = await db.maybeOne(
    sql.type(row(KeyRow))`select public_key, pool from nodes where id = ${nodeId} and public_key is not null and ended_at is null`,
  )
  return found ? { publicKey: found.public_key, pool: found.pool } : undefined
}

/**
 * Writes down that a node is to take no more work, or to take work again; false when there is no such node. Either way it is what an
 * operator said from now on, and no cordon; what failed on a node before it was resumed is not held against it.
 */
export async function setDrain(db: Db, nodeId: string, drain: boolean): Promise<boolean> {
  const change = drain
    ? sql.fragment`drain_requested_at = coalesce(drain_requested_at, now()), drain_planned = false, state = case when state = 'ready' then 'draining' else state end`
    : sql.fragment`drain_requested_at = null, drain_planned = false, trusted_from = now(), state = case when state = 'draining' then 'ready' else state end`
  const result = await db.query(sql.unsafe`update nodes set cordoned_at = null, cordon_reason = null, ${change} where id = ${nodeId} and ended_at is null`)
  return result.rowCount > 0
}

/** Lets a machine that was bought take no more work, and go when its hour ends; false when it is none, or is drained already. */
export async function retireBought(tx: Tx, nodeId: string): Promise<boolean> {
  const result = await tx.query(sql.unsafe`
    update nodes set drain_requested_at = coalesce(drain_requested_at, now()), drain_planned = false,
      state = case when state = 'ready' then 'draining' else state end
    where id = ${nodeId} and provider is not null and ended_at is null and (drain_requested_at is null or drain_planned)`)
  return result.rowCount > 0
}
