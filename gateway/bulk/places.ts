import { RGridError } from '#core/errors.ts'

/** How many batches may come in at once: each may take half a gigabyte of disk until it is stored. */
const MOST = 16
const MOST_OF_ACCOUNT = 4

/** Holds streamed batches to a number that the disk can take. */
export interface Places {
  /** Runs the work in a place; throws `limit_exceeded` or `unavailable` when there is none. */
  within<T>(accountId: string, work: () => Promise<T>): Promise<T>
}

/** See the interface. */
export function createPlaces(): Places {
  const taken = new Map<string, number>()
  let all = 0
  return {
    async within(accountId, work) {
      const own = taken.get(accountId) ?? 0
      if (own >= MOST_OF_ACCOUNT)
        throw new RGridError('limit_exceeded', `${own} batches of the account are coming in at this moment, as many as may`, { retryAfterSeconds: 5 })
      if (all >= MOST) throw new RGridError('unavailable', 'as many batches as this gateway can take are coming in at this moment')
      taken.set(accountId, own + 1)
      all++
      try {
        return await work()
      } finally {
        all--
        const left = (taken.get(accountId) ?? 1) - 1
        if (left > 0) taken.set(accountId, left)
        else taken.delete(accountId)
      }
    },
  }
}
