import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { sql } from 'slonik'
import { createClaimStore } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createClaims } from '../../scheduler/claims.ts'
import { createTestDatabase } from '../harness/database.ts'
import { createFactory } from '../harness/factory.ts'
import { makeTenant, queueJobs } from '../harness/tenants.ts'
import { median } from './median.ts'
import { withServices } from './with-services.ts'

/**
 * `npm run bench:claim -- [--claims N] [--jobs N]`: how long a claim takes by how many jobs are queued, of how many accounts:
 * each must take its turn, and none may make the claim slower by the length of its queue. Up to `--jobs` (1,000,000).
 */
const { values } = parseArgs({ options: { claims: { type: 'string', default: '200' }, jobs: { type: 'string', default: '1000000' } } })
const claims = Number(values.claims)
const most = Number(values.jobs)
/** Jobs that one claim takes. */
const TAKES = 4
/** Jobs that are queued with one statement. */
const CHUNK = 20_000

await withServices(async () => {
  const database = await createTestDatabase()
  const admin = await createDbPool(database.adminUrl, 2)
  let base = 0
  for (const [accounts, jobs] of [
    [1, 1000],
    [1, most],
    [10, most],
    [100, most],
    [1000, most],
  ] as const) {
    const ms = await measure(admin, database.schedulerUrl, accounts, jobs)
    base ||= ms
    console.log(
      `${String(accounts).padStart(5)} accounts, ${String(jobs).padStart(8)} jobs queued: ${ms.toFixed(2).padStart(6)} ms for a claim of ${TAKES}  ratio ${(ms / base).toFixed(2)}`,
    )
  }
  await admin.end()
  await database.drop()
})

async function measure(admin: DatabasePool, url: string, accounts: number, jobs: number): Promise<number> {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, account_turns cascade`)
  await admin.query(sql.unsafe`update claim_clock set at = 0`)
  const node = await (await createFactory(admin)).node({ slots: 30_000, memoryBytes: 2 ** 50 })
  for (let i = 0; i < accounts; i++) {
    const tenant = await makeTenant(admin)
    for (let left = jobs / accounts; left > 0; left -= CHUNK) await queueJobs(admin, tenant, Math.min(left, CHUNK))
  }
  await admin.query(sql.unsafe`vacuum analyze jobs`)
  const store = createClaimStore(url, 2)
  const claimer = createClaims(store, pino({ level: 'silent' }))
  const times: number[] = []
  for (let i = -20; i < claims; i++) {
    const beganMs = performance.now()
    const taken = await claimer.claim(node, { slots: TAKES, memoryBytes: 2 ** 50 })
    if (taken.length !== TAKES) throw new Error(`a claim of ${TAKES} took ${taken.length}`)
    // The first ones warm up.
    if (i >= 0) times.push(performance.now() - beganMs)
  }
  await store.close()
  return median(times)
}
