import { monotonicMs } from '#core/service/time.ts'
import { type EffectiveLimits, readLimits } from '#store/limits.ts'
import type { DatabasePool } from '#store/pool.ts'
import { accountDb } from '#store/tenant.ts'

/** The limits of accounts and projects, as they were at most a second ago. */
export interface KnownLimits {
  of(accountId: string, projectId: string | null): Promise<EffectiveLimits>
  /** Limits were changed here: they hold at once. Other gateways see it within the second. */
  forget(): void
}

const REMEMBER_MS = 1000
const MAX_REMEMBERED = 10_000

/** See the interface. */
export function createKnownLimits(pool: DatabasePool): KnownLimits {
  const remembered = new Map<string, { limits: Promise<EffectiveLimits>; untilMs: number }>()
  return {
    forget: () => remembered.clear(),
    of(accountId, projectId) {
      const id = projectId ?? accountId
      const nowMs = monotonicMs()
      const known = remembered.get(id)
      if (known && known.untilMs > nowMs) return known.limits
      const limits = readLimits(accountDb(pool, accountId), accountId, projectId)
      remembered.delete(id)
      remembered.set(id, { limits, untilMs: nowMs + REMEMBER_MS })
      limits.catch(() => remembered.get(id)?.limits === limits && remembered.delete(id))
      for (const [oldest, { untilMs }] of remembered) {
        if (untilMs > nowMs && remembered.size <= MAX_REMEMBERED) break
        remembered.delete(oldest)
      }
      return limits
    },
  }
}
