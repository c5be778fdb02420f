import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { SecretKind, SecretView } from '#core/secret-api.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** Secrets of one project. */
export const MAX_SECRETS = 500

const ViewRow = row(Type.Object({ view: Type.Unsafe<SecretView>(Type.Any()) }))
const NameRow = row(Type.Object({ name: Type.String() }))
const VersionRow = row(Type.Object({ id: Type.String(), version: Type.Number() }))
const CountRow = row(Type.Object({ count: Type.Number() }))

const time = (expression: ReturnType<typeof sql.fragment>) => sql.fragment`to_char(${expression} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
const VIEW = sql.fragment`
  jsonb_build_object('id', id, 'name', name, 'kind', kind, 'server', registry_server, 'version', version, 'createdAt', ${time(sql.fragment`created_at`)},
    'updatedAt', ${time(sql.fragment`updated_at`)}, 'lastUsedAt', ${time(sql.fragment`last_used_at`)}) as view`

/** Whose a secret is. */
export interface SecretOwner {
  accountId: string
  projectId: string
}

/** The place of a secret, for its seal: what is copied to another project, or under another name, does not open. */
export function secretContext({ accountId, projectId }: SecretOwner, name: string): string {
  return `secret/${accountId}/${projectId}/${name}`
}

/** What is kept of one. */
export interface NewSecret {
  name: string
  kind: SecretKind
  /** Of kind `registry`, as registryServer names it. */
  server: string | null
  sealed: string
}

/**
 * How setting one can end: `full` when the project has as many as it may, `taken` when another secret of it is for this
 * registry, `kind` when the one of this name is of the other kind.
 */
export type SetSecret = { status: 'full' } | { status: 'kind' } | { status: 'taken'; by: string } | { status: 'ok'; id: string; version: number }

/** Makes a secret, or a new version of the one that has the name. */
export async function setSecret(tx: Tx, owner: SecretOwner, secret: NewSecret): Promise<SetSecret> {
  // Two at once would both see room for one more, and no other one for the registry.
  await tx.query(sql.unsafe`select pg_advisory_xact_lock(hashtextextended(${`secrets:${owner.projectId}`}, 0))`)
  const { projectId } = owner
  const others = await tx.oneFirst(sql.type(CountRow)`select count(*)::int as count from secrets where project_id = ${projectId} and name <> ${secret.name}`)
  if (others >= MAX_SECRETS) return { status: 'full' }
  const by = await tx.maybeOneFirst(sql.type(NameRow)`
    select name from secrets where project_id = ${projectId} and registry_server = ${secret.server} and name <> ${secret.name}`)
  if (by) return { status: 'taken', by }
  // Not `excluded.sealed`: reading that takes the right to read the column.
  const stored = await tx.maybeOne(sql.type(VersionRow)`
    insert into secrets (id, account_id, project_id, name, kind, registry_server, sealed)
    values (${newId('secret')}, ${owner.accountId}, ${projectId}, ${secret.name}, ${secret.kind}, ${secret.server}, ${secret.sealed})
    on conflict (project_id, name) do update
      set registry_server = ${secret.server}, sealed = ${secret.sealed}, version = secrets.version + 1, updated_at = now()
      where secrets.kind = ${secret.kind}
    returning id, version`)
  return stored ? { status: 'ok', ...stored } : { status: 'kind' }
}

/** A page of the secrets of a project, by name; never what they hold. */
export async function listSecrets(db: Db, projectId: string, { after = '', limit }: PageWish<string>): Promise<Page<SecretView, string>> {
  const rows = await db.anyFirst(
    sql.type(ViewRow)`select ${VIEW} from secrets where project_id = ${projectId} and name > ${after} order by name limit ${limit + 1}`,
  )
  return toPage(
    rows,
    limit,
    (view) => view,
    ({ name }) => name,
  )
}

/** One of them; undefined when the project has none of this name. */
export async function readSecret(db: Db, projectId: string, name: string): Promise<SecretView | undefined> {
  return (await db.maybeOneFirst(sql.type(ViewRow)`select ${VIEW} from secrets where project_id = ${projectId} and name = ${name}`)) ?? undefined
}

/** Takes one away; jobs that ask for it, and have not been given it yet, fail. Undefined when the project has none of this name. */
export async function deleteSecret(tx: Tx, projectId: string, name: string): Promise<{ id: string; version: number } | undefined> {
  return (await tx.maybeOne(sql.type(VersionRow)`delete from secrets where project_id = ${projectId} and name = ${name} returning id, version`)) ?? undefined
}

/** Of these names, those that are values of the project's. */
export async function knownSecrets(db: Db, projectId: string, names: readonly string[]): Promise<Set<string>> {
  return new Set(
    await db.anyFirst(sql.type(NameRow)`
      select name from secrets where project_id = ${projectId} and kind = 'value' and name = any(${sql.array([...names], 'text')})`),
  )
}
