import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { NodeState } from '#core/node.ts'
import { PAID_NODE_STATES } from '#core/node.ts'
import type { DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import type { Server } from '../../../scheduler/cloud/cloud.ts'

const NodeRow = Type.Object({
  id: Type.String(),
  state: Type.Unsafe<NodeState>(Type.String()),
  server_id: Type.Union([Type.String(), Type.Null()]),
  server_type: Type.String(),
  location: Type.String(),
  failure: Type.Union([Type.String(), Type.Null()]),
  verdict: Type.Union([Type.String(), Type.Null()]),
})

/** The rows of bought machines, the oldest first. */
export async function nodeRows(db: DatabasePool): Promise<readonly (typeof NodeRow.static)[]> {
  return db.any(sql.type(row(NodeRow))`
    select id, state, server_id, server_type, location, failure, verdict from nodes where provider is not null order by id`)
}

/** How many rows are in each state. */
export async function statesOf(db: DatabasePool): Promise<Partial<Record<NodeState, number>>> {
  const counts: Partial<Record<NodeState, number>> = {}
  for (const { state } of await nodeRows(db)) counts[state] = (counts[state] ?? 0) + 1
  return counts
}

/** Runs rounds until there are so many rows in each state; fails when twenty do not bring it about. */
export async function roundsUntil(db: DatabasePool, wanted: Partial<Record<NodeState, number>>, round: () => Promise<void>): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await round()
    if (isDeepStrictEqual(await statesOf(db), wanted)) return
  }
  assert.deepEqual(await statesOf(db), wanted)
}

/** Enrols each running machine with the token that it was made with, as a node does. Returns how many could. */
export async function enrolMachines(admin: DatabasePool, servers: readonly Server[], userData: ReadonlyMap<string, string>): Promise<number> {
  let enrolled = 0
  for (const server of servers.filter(({ status }) => status === 'running')) {
    const { token } = JSON.parse(userData.get(server.name) ?? '{}') as { token: string }
    const hash = createHash('sha256').update(token).digest()
    enrolled += await admin.transaction(async (tx) => {
      const { rowCount } = await tx.query(sql.unsafe`
        update nodes n set state = 'ready', public_key = 'U', version = 'test', enrolled_at = now(), last_seen_at = now()
        from enrolment_tokens t
        where t.hash = ${sql.binary(hash)} and t.expires_at > now() and t.used_at is null and n.id = t.for_node_id and n.state = 'booting'`)
      await tx.query(sql.unsafe`update enrolment_tokens set used_at = now(), node_id = for_node_id where hash = ${sql.binary(hash)} and ${rowCount} > 0`)
      return rowCount
    })
  }
  return enrolled
}

/** Why what is written down is not what the provider has; empty when it is. */
export async function differences(admin: DatabasePool, servers: readonly Server[]): Promise<string[]> {
  const paid = (await nodeRows(admin)).filter(({ state }) => (PAID_NODE_STATES as readonly string[]).includes(state))
  return [
    ...paid.filter(({ server_id }) => !servers.some(({ id }) => id === server_id)).map(({ id, state }) => `${id} is ${state} and has no server`),
    ...servers.filter(({ id }) => !paid.some(({ server_id }) => server_id === id)).map(({ name }) => `${name} has no row`),
  ]
}

/** Fails unless both sides are the same. */
export async function assertSame(admin: DatabasePool, servers: readonly Server[]): Promise<void> {
  assert.deepEqual(await differences(admin, servers), [])
}
