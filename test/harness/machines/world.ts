import { sql } from 'slonik'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createTestDatabase } from '../database.ts'
import { type Provider, startProvider } from './provider.ts'

/** A database for tests of the loops about machines. */
export interface MachineWorld {
  /** A connection that may write everything. */
  admin: DatabasePool
  /** The scheduler's own. */
  db: DatabasePool
  /** Forgets all machines, jobs and prices, and starts a provider that ends with the test. */
  fresh(t: object): Promise<Provider>
  close(): Promise<void>
}

/** Makes one. Call `close` in `after`. */
export async function openMachineWorld(): Promise<MachineWorld> {
  const database = await createTestDatabase()
  const admin = await createDbPool(database.adminUrl, 4)
  const db = await createDbPool(database.schedulerUrl, 4)
  return {
    admin,
    db,
    async fresh(t) {
      await admin.query(sql.unsafe`truncate nodes, node_hours, attempt_costs, prices, enrolment_tokens, cells, scaling, jobs cascade`)
      const provider = await startProvider()
      if ('after' in t && typeof t.after === 'function') t.after(() => provider.close())
      return provider
    },
    async close() {
      await Promise.all([admin.end(), db.end()])
      await database.drop()
    },
  }
}
