import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { pino } from 'pino'
import { knownMigrations, migrate } from '#store/migrate.ts'
import { testServices } from './services.ts'

/** A database of a test file's own. */
export interface TestDatabase {
  adminUrl: string
  gatewayUrl: string
  schedulerUrl: string
  drop(): Promise<void>
}

/** Clones a migrated template: a few tens of milliseconds. Call `drop` in `after`. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const services = testServices()
  const template = await ensureTemplate(services.postgresAdminUrl)
  const name = `rgrid_test_${randomBytes(6).toString('hex')}`
  await asAdmin(services.postgresAdminUrl, (client) => client.query(`create database ${name} template ${template}`))
  return {
    adminUrl: withDatabase(services.postgresAdminUrl, name),
    gatewayUrl: withDatabase(services.gatewayDatabaseUrl, name),
    schedulerUrl: withDatabase(services.schedulerDatabaseUrl, name),
    drop: () => asAdmin(services.postgresAdminUrl, (client) => client.query(`drop database if exists ${name} with (force)`)).then(() => undefined),
  }
}

/** An empty database, for tests of the migrations themselves. */
export async function createEmptyDatabase(): Promise<Pick<TestDatabase, 'adminUrl' | 'drop'>> {
  const { postgresAdminUrl } = testServices()
  const name = `rgrid_test_${randomBytes(6).toString('hex')}`
  await asAdmin(postgresAdminUrl, (client) => client.query(`create database ${name}`))
  return {
    adminUrl: withDatabase(postgresAdminUrl, name),
    drop: () => asAdmin(postgresAdminUrl, (client) => client.query(`drop database if exists ${name} with (force)`)).then(() => undefined),
  }
}

async function ensureTemplate(adminUrl: string): Promise<string> {
  const hash = createHash('sha256')
  for (const migration of await knownMigrations()) hash.update(readFileSync(new URL(`../../store/migrations/${migration}.sql`, import.meta.url)))
  const name = `rgrid_template_${hash.digest('hex').slice(0, 12)}`
  await asAdmin(adminUrl, async (client) => {
    await client.query('select pg_advisory_lock(7246301126)')
    const found = await client.query('select datistemplate from pg_database where datname = $1', [name])
    if (found.rows[0]?.datistemplate) return
    // Left half-made by a run that was killed.
    if (found.rowCount) await client.query(`drop database ${name} with (force)`)
    await client.query(`create database ${name}`)
    await migrate(withDatabase(adminUrl, name), pino({ level: 'silent' }))
    await client.query(`alter database ${name} is_template true`)
  })
  return name
}

async function asAdmin<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}
