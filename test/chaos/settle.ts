import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { sleep } from '#core/service/time.ts'
import type { Stack } from './stack.ts'

const LOOK_MS = 1000

/** What is still to be waited for. */
interface Open {
  jobs: number
  leases: number
  outbox: number
  unwanted: number
  webhooks: number
  folders: number
}

/**
 * Waits until every job has ended and everything that follows from it has been done; at most `deadlineMs`. What is left
 * then is for the checks to name. Returns how long it took, in milliseconds.
 */
export async function settle(stack: Stack, deadlineMs: number, say: (text: string) => void): Promise<number> {
  const startedMs = performance.now()
  const db = new pg.Client({ connectionString: stack.servers.postgresAdminUrl })
  await db.connect()
  try {
    for (let told = ''; ; await sleep(LOOK_MS)) {
      const open = { ...(await countOpen(db)), folders: countFolders(stack) }
      const text = JSON.stringify(open)
      if (Object.values(open).every((count) => count === 0)) return performance.now() - startedMs
      if (performance.now() - startedMs > deadlineMs) {
        say(`not settled after ${Math.round(deadlineMs / 1000)} s: ${text}`)
        return performance.now() - startedMs
      }
      if (text !== told) say(`waiting for ${text}`)
      told = text
    }
  } finally {
    await db.end()
  }
}

async function countOpen(db: pg.Client): Promise<Omit<Open, 'folders'>> {
  const { rows } = await db.query<Omit<Open, 'folders'>>(`
    select (select count(*) from jobs where finished_at is null)::int as jobs, (select count(*) from attempts where finished_at is null)::int as leases,
      (select count(*) from outbox)::int as outbox, (select count(*) from pending_objects where delete_at <= now())::int as unwanted,
      (select count(*) from webhook_deliveries where state = 'pending')::int as webhooks`)
  return rows[0] as Omit<Open, 'folders'>
}

function countFolders(stack: Stack): number {
  return stack.runnerDirs.reduce((sum, dir) => sum + (existsSync(join(dir, 'attempts')) ? readdirSync(join(dir, 'attempts')).length : 0), 0)
}
