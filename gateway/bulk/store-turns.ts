import { createTurns } from '../limits/turns.ts'

/** Up to so many jobs are stored as quickly as one. */
const SMALL = 1000
/** One of an account at a time, and so many of all accounts together: each takes a connection, and Postgres, for seconds. */
const AT_ONCE = 4
const WAITING_OF_ACCOUNT = 100
const WAITING_OF_ALL = 1000

/** Stores a batch of `size` jobs, when it is its turn where that is large. Throws `limit_exceeded` when too many wait. */
export type StoreTurns = <T>(accountId: string, size: number, work: () => Promise<T>) => Promise<T>

/** Keeps batches that are stored from taking the connections that everything else needs. */
export function createStoreTurns(): StoreTurns {
  const ofAccount = createTurns(1, WAITING_OF_ACCOUNT)
  const ofAll = createTurns(AT_ONCE, WAITING_OF_ALL)
  return (accountId, size, work) => (size <= SMALL ? work() : ofAccount.take(accountId, () => ofAll.take('all accounts', work)))
}
