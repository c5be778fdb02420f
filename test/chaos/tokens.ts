import { createEnrolmentToken } from '#store/bootstrap.ts'
import { createDbPool } from '#store/pool.ts'

/** One-time tokens for new nodes. */
export async function createTokens(postgresAdminUrl: string, count: number): Promise<string[]> {
  const db = await createDbPool(postgresAdminUrl, 1)
  try {
    return await Promise.all(Array.from({ length: count }, () => createEnrolmentToken(db, 3600)))
  } finally {
    await db.end()
  }
}
