import { monotonicMs } from '#core/service/time.ts'
import type { EffectiveLimits } from '#store/limits.ts'
import type { Owner } from '#store/new-jobs.ts'
import { findFullStorage } from '#store/storage.ts'
import type { TenantDb } from '#store/tenant.ts'
import type { Exceeded } from '#store/usage.ts'

/** Says whether storage is full to submits that need no admission. */
export interface StorageWatch {
  find(db: TenantDb, owner: Owner, limits: EffectiveLimits): Promise<Exceeded | undefined>
}

const REMEMBER_MS = 250

/** See the interface. That there is room is remembered for a quarter of a second, so that a busy client's submits cost no more; that there is none is not. */
export function createStorageWatch(): StorageWatch {
  const roomUntilMs = new Map<string, number>()
  return {
    async find(db, owner, limits) {
      const nowMs = monotonicMs()
      for (const [oldest, untilMs] of roomUntilMs) {
        if (untilMs > nowMs) break
        roomUntilMs.delete(oldest)
      }
      if (roomUntilMs.has(owner.projectId)) return undefined
      const full = await findFullStorage(db, owner, limits)
      if (!full) roomUntilMs.set(owner.projectId, nowMs + REMEMBER_MS)
      return full
    },
  }
}
