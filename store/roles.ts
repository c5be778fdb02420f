import pg from 'pg'

/** The roles that gateway and scheduler connect as: they own nothing. Migrations grant them what they need. */
export const ROLES = { gateway: 'rgrid_gateway', scheduler: 'rgrid_scheduler' } as const

/** Creates the roles where they are missing and sets their passwords. `adminUrl` needs the right to create roles. */
export async function prepareRoles(adminUrl: string, passwords: { gateway: string; scheduler: string }): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  try {
    await client.query('begin')
    // Roles belong to the whole server: two databases being prepared at once must not race.
    await client.query('select pg_advisory_xact_lock(7246301123)')
    for (const part of ['gateway', 'scheduler'] as const) {
      const role = ROLES[part]
      const found = await client.query('select 1 from pg_roles where rolname = $1', [role])
      const verb = found.rowCount === 0 ? 'create' : 'alter'
      await client.query(`${verb} role ${role} with login nosuperuser nocreatedb nocreaterole nobypassrls password ${pg.escapeLiteral(passwords[part])}`)
    }
    await client.query('commit')
  } finally {
    await client.end()
  }
}
