import {
  type CommonQueryMethods,
  createPool,
  createTypeParserPreset,
  type DatabasePool,
  type DatabaseTransactionConnection,
  type DriverTypeParser,
  type Interceptor,
  SchemaValidationError,
  StatementTimeoutError,
  sql,
} from 'slonik'
import { createWatchedDriver } from './silence.ts'

/** Any connection that statements can run on; the caller owns the transaction. */
export type Db = Omit<CommonQueryMethods, 'stream' | 'record'>
/** A transaction. */
export type Tx = DatabaseTransactionConnection
export type { DatabasePool }

/** Rows are checked against the schema of their statement, so a wrong column is an error here and not a wrong answer later. */
const checkRows: Interceptor = {
  name: 'check-rows',
  transformRowAsync: async (context, query, row) => {
    const parser = (context as { resultParser?: import('@standard-schema/spec').StandardSchemaV1 }).resultParser
    if (!parser) return row
    const result = await parser['~standard'].validate(row)
    if (result.issues) throw new SchemaValidationError(query, row, result.issues)
    return result.value as typeof row
  },
}

// slonik's own parsers turn int8 into BigInt, which JSON cannot write, and times into numbers.
const TYPE_PARSERS: Record<string, (value: string) => unknown> = { int8: parseInt8, timestamptz: parseTimestamp, numeric: Number }

/** int8 as a number; throws where it would lose digits. */
export function parseInt8(value: string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new RangeError(`the int8 ${value} does not fit a number`)
  return number
}

/** A timestamptz as RFC 3339 in UTC with milliseconds. */
export function parseTimestamp(value: string): string {
  return new Date(value).toISOString()
}

/** Opens a pool of connections to Postgres. Connections are kept, so a quiet minute does not slow the next request. */
export async function createDbPool(url: string, maxPoolSize = 10): Promise<DatabasePool> {
  const overridden = Object.entries(TYPE_PARSERS).map(([name, parse]): DriverTypeParser => ({ name, parse: parse as DriverTypeParser['parse'] }))
  const kept = createTypeParserPreset().filter((parser) => !(parser.name in TYPE_PARSERS))
  return createPool(url, {
    captureStackTrace: false,
    connectionRetryLimit: 1,
    connectionTimeout: 4000,
    driverFactory: createWatchedDriver(),
    // So long a connection that is given up may still take to close.
    gracefulTerminationTimeout: 500,
    idleTimeout: 60_000,
    interceptors: [checkRows],
    maxPoolSize,
    statementTimeout: 30_000,
    idleInTransactionSessionTimeout: 30_000,
    queryRetryLimit: 2,
    // DISCARD ALL costs a round trip for each use of a connection; nothing here sets session state.
    resetConnection: async () => {},
    typeParsers: [...kept, ...overridden],
  })
}

/** Whether a statement was ended because it took longer than one may. */
export function isTooSlow(error: unknown): boolean {
  return error instanceof StatementTimeoutError
}

/** Rejects when the database does not answer. */
export async function checkDb(db: Db): Promise<void> {
  await db.query(sql.unsafe`select 1`)
}
