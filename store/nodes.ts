import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { EnrolRequest, NodeView } from '#core/operator-api.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'
import { hashSecret } from './secrets.ts'

const TokenRow = Type.Object({ id: Type.String(), node_id: Type.Union([Type.String(), Type.Null()]), same_key: Type.Boolean() })

/**
 * Makes a node of a one-time token: of two that try with the same one, one wins. The winner may ask again with the same
 * key, as an answer can be lost on its way. Undefined when the token is not good.
 */
export async function enrolNode(db: Db, request: EnrolRequest): Promise<{ nodeId: string } | undefined> {
  return db.transaction(async (tx) => {
    const token = await tx.maybeOne(sql.type(row(TokenRow))`
      select t.id, t.node_id, coalesce(n.public_key = ${request.publicKey}, false) as same_key
      from enrolment_tokens t left join nodes n on n.id = t.node_id
      where t.hash = ${sql.binary(hashSecret(request.token))} and t.expires_at > now() for update of t`)
    if (token?.node_id && token.same_key) return { nodeId: token.node_id }
    if (!token || token.node_id) return undefined
    const nodeId = newId('node')
    await tx.query(sql.unsafe`
      insert into nodes (id, name, pool, public_key, state, slots, memory_bytes, version)
      values (${nodeId}, ${request.name}, ${request.pool}, ${request.publicKey}, 'ready', ${request.slots}, ${request.memoryBytes}, ${request.version})`)
    await tx.query(sql.unsafe`update enrolment_tokens set used_at = now(), node_id = ${nodeId} where id = ${token.id}`)
    return { nodeId }
  })
}

const KeyRow = Type.Object({ public_key: Type.String(), pool: Type.String() })

/** The key of a node that may speak; undefined when there is none of this id, or it is gone. */
export async function nodeKey(db: Db, nodeId: string): Promise<{ publicKey: string; pool: string } | undefined> {
  const found = await db.maybeOne(sql.type(row(KeyRow))`select public_key, pool from nodes where id = ${nodeId} and state <> 'gone'`)
  return found ? { publicKey: found.public_key, pool: found.pool } : undefined
}

const NodeRow = Type.Object({
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  state: Type.Unsafe<NodeView['state']>(Type.String()),
  slots: Type.Number(),
  used_slots: Type.Number(),
  memory_bytes: Type.Number(),
  version: Type.String(),
  enrolled_at: Type.String(),
  last_seen_at: Type.Union([Type.String(), Type.Null()]),
  drain_requested: Type.Boolean(),
})

const NODE = sql.fragment`
  select n.id, n.name, n.pool, n.state, n.slots, n.memory_bytes, n.version, n.enrolled_at, n.last_seen_at,
    n.drain_requested_at is not null as drain_requested,
    coalesce((select sum(slots) from attempts where node_id = n.id and finished_at is null), 0)::int as used_slots
  from nodes n where n.state <> 'gone'`

/** A page of the nodes that are not gone, the newest first, with the slots that live leases use. */
export async function listNodes(db: Db, { after, limit }: PageWish<string>): Promise<Page<NodeView, string>> {
  const older = after === undefined ? sql.fragment`true` : sql.fragment`n.id < ${after}`
  const rows = await db.any(sql.type(row(NodeRow))`${NODE} and ${older} order by n.id desc limit ${limit + 1}`)
  return toPage(rows, limit, toView, ({ id }) => id)
}

/** The same of one node; undefined when there is none of this id, or it is gone. */
export async function readNode(db: Db, nodeId: string): Promise<NodeView | undefined> {
  const found = await db.maybeOne(sql.type(row(NodeRow))`${NODE} and n.id = ${nodeId}`)
  return found ? toView(found) : undefined
}

function toView(node: Static<typeof NodeRow>): NodeView {
  return {
    id: node.id,
    name: node.name,
    pool: node.pool,
    state: node.state,
    slots: node.slots,
    usedSlots: node.used_slots,
    memoryBytes: node.memory_bytes,
    version: node.version,
    enrolledAt: node.enrolled_at,
    lastSeenAt: node.last_seen_at,
    drainRequested: node.drain_requested,
  }
}

/** Writes down that a node is to take no more work, or to take work again; false when there is no such node. */
export async function setDrain(db: Db, nodeId: string, drain: boolean): Promise<boolean> {
  const change = drain
    ? sql.fragment`drain_requested_at = coalesce(drain_requested_at, now()), state = case when state = 'ready' then 'draining' else state end`
    : sql.fragment`drain_requested_at = null, state = case when state = 'draining' then 'ready' else state end`
  const result = await db.query(sql.unsafe`update nodes set ${change} where id = ${nodeId} and state <> 'gone'`)
  return result.rowCount > 0
}
