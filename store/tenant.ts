import { Type } from '@sinclair/typebox'
import { type FragmentSqlToken, sql } from 'slonik'
import type { DatabasePool, Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** The database as one account sees it, or as the operator does. Each call is a transaction of its own. */
export interface TenantDb extends Db {
  /**
   * For one statement that is a transaction by itself: it saves the three round trips that begin one, set the account and end it.
   * The statement has to select `setAccount` and to make its rows from what that returns, as storeJobsAlone does: so the account
   * is set before row level security looks at the first row. A statement that does not do so sees and makes no tenant's row.
   */
  alone<T>(work: (db: Db, setAccount: FragmentSqlToken) => Promise<T>): Promise<T>
}

/** Runs a transaction when it is its turn: what keeps one account from taking up all connections. */
export type Share = <T>(work: () => Promise<T>) => Promise<T>

const unshared: Share = (work) => work()

/** Stands for every account, in row level security. */
const EVERYONE = '*'

/**
 * The database as one account sees it: the account is set for each transaction, and row level security shows and takes
 * no row of another one (store/migrations/0004_tenancy.sql). What runs on the pool itself sees no tenant's row at all.
 */
export function accountDb(pool: DatabasePool, accountId: string, share: Share = unshared): TenantDb {
  if (!/^acc_[0-9a-z]+$/.test(accountId)) throw new Error(`${JSON.stringify(accountId)} is no account`)
  return within(pool, accountId, share)
}

/** The database as those see it who run the installation: every account's rows. */
export function operatorDb(pool: DatabasePool): TenantDb {
  return within(pool, EVERYONE, unshared)
}

const SetRow = row(Type.Object({ set_config: Type.String() }))
const METHODS = ['any', 'anyFirst', 'exists', 'many', 'manyFirst', 'maybeOne', 'maybeOneFirst', 'one', 'oneFirst', 'query'] as const

function within(pool: DatabasePool, account: string, share: Share): TenantDb {
  const setAccount = sql.fragment`set_config('rgrid.account', ${account}, true)`
  const transaction = <T>(work: (tx: Tx) => Promise<T>) =>
    share(() =>
      pool.transaction(async (tx) => {
        await tx.query(sql.prepared('set_account', SetRow)`select ${setAccount}`)
        return work(tx)
      }),
    )
  const alone: TenantDb['alone'] = (work) => share(() => work(pool, setAccount))
  type Call = (...args: unknown[]) => Promise<unknown>
  const calls = METHODS.map((name) => [name, (...args: unknown[]) => transaction((tx) => (tx[name] as Call)(...args))])
  return { ...Object.fromEntries(calls), transaction, alone } as unknown as TenantDb
}
