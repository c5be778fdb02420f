import { RGridError } from '#core/errors.ts'
import { isTooSlow } from '#store/pool.ts'
import { createTurns } from './turns.ts'

/** Lets a report be made when it is its turn. */
export type ReportTurns = <T>(accountId: string, work: () => Promise<T>) => Promise<T>

/** One of an account at a time, and so many of all accounts together: each may read all that its account ever ran. */
const AT_ONCE = 3
const WAITING_OF_ACCOUNT = 10
const WAITING_OF_ALL = 100

/**
 * Keeps reports over many rows from taking the processors and connections that everything else needs. One that takes the
 * database longer than a statement may is told to ask for less. Throws `limit_exceeded` when too many wait.
 */
export function createReportTurns(): ReportTurns {
  const ofAccount = createTurns(1, WAITING_OF_ACCOUNT)
  const ofAll = createTurns(AT_ONCE, WAITING_OF_ALL)
  return async (accountId, work) => {
    try {
      return await ofAccount.take(accountId, () => ofAll.take('all accounts', work))
    } catch (error) {
      if (isTooSlow(error)) throw new RGridError('unavailable', 'this report takes the database too long; ask for fewer days, or later', { cause: error })
      throw error
    }
  }
}
