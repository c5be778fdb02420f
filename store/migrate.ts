import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Type } from '@sinclair/typebox'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import { sql } from 'slonik'
import type { Log } from '#core/service/log.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const MIGRATIONS_DIR = fileURLToPath(new URL('./migrations/', import.meta.url))
const TABLE = 'migrations'
/** An arbitrary number that is the same in every process: the advisory lock of migrations. */
const LOCK_KEY = 7_246_301_122

/** The database was migrated by a newer version of RGrid, or not yet by this one. */
export class SchemaVersionError extends Error {
  /** Whether a newer version was there; else this one has yet to come. */
  readonly newer: boolean

  constructor(message: string, newer: boolean) {
    super(message)
    this.newer = newer
    this.name = 'SchemaVersionError'
  }
}

/** The names of this version's migrations, in order. */
export async function knownMigrations(): Promise<string[]> {
  const files = await readdir(MIGRATIONS_DIR)
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => file.slice(0, -'.sql'.length))
    .sort()
}

/**
 * Brings the database up to this version. Several processes may start it at once: they wait for each other. Throws a
 * SchemaVersionError, having changed nothing, when a newer version has been there. Returns the migrations it ran.
 */
export async function migrate(adminUrl: string, log: Log): Promise<string[]> {
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  try {
    // The library's own lock fails when it is taken; this one waits.
    await client.query('select pg_advisory_lock($1)', [LOCK_KEY])
    const table = await client.query<{ exists: boolean }>(`select to_regclass('public.${TABLE}') is not null as exists`)
    if (table.rows[0]?.exists) {
      const applied = await client.query<{ name: string }>(`select name from public.${TABLE} order by id`)
      refuseNewer(
        applied.rows.map((applied) => applied.name),
        await knownMigrations(),
      )
    }
    const quiet = (message: string) => log.debug({ message }, 'migration')
    const done = await runner({
      dbClient: client,
      dir: MIGRATIONS_DIR,
      migrationsTable: TABLE,
      direction: 'up',
      noLock: true,
      singleTransaction: true,
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    })
    return done.map((migration) => migration.name)
  } finally {
    await client.end()
  }
}

function refuseNewer(applied: readonly string[], known: readonly string[]): void {
  const unknown = applied.filter((name) => !known.includes(name))
  if (unknown.length > 0)
    throw new SchemaVersionError(
      `the database was migrated by a newer version of RGrid (${unknown.join(', ')}); run that version, or restore a backup from before`,
      true,
    )
}

/** Throws a SchemaVersionError unless the database is at exactly this version. Gateway and scheduler ask it at start. */
export async function requireSchema(db: Db): Promise<void> {
  const known = await knownMigrations()
  const exists = await db.exists(sql.unsafe`select 1 from pg_tables where schemaname = 'public' and tablename = ${TABLE}`)
  const applied = exists ? await db.anyFirst(sql.type(row(Type.Object({ name: Type.String() })))`select name from migrations order by id`) : []
  refuseNewer(applied as string[], known)
  const missing = known.filter((name) => !applied.includes(name))
  if (missing.length > 0) throw new SchemaVersionError(`the database lacks ${missing.join(', ')}; run "node store/admin.ts prepare" first`, false)
}
