import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { authenticateKey } from '#store/api-keys.ts'
import { ensureProject } from '#store/bootstrap.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'

const ProjectRow = row(Type.Object({ account_id: Type.String(), name: Type.String(), slug: Type.String() }))
const folder = mkdtempSync(join(tmpdir(), 'rgrid-bootstrap-'))
let database: TestDatabase
let admin: DatabasePool

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 4)
})
after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await admin.end()
  await database.drop()
})

const projectOf = (id: string) =>
  admin.one(sql.type(ProjectRow)`select a.id as account_id, a.name, p.slug from projects p join accounts a on a.id = p.account_id where p.id = ${id}`)

test('projects of one name of an account are one account’s, and are made once however many make them', async () => {
  const ids = await Promise.all(['a', 'a', 'b', 'b'].map((slug) => ensureProject(admin, 'own', slug)))
  assert.equal(new Set(ids).size, 2)
  const projects = await Promise.all(ids.map(projectOf))
  assert.equal(new Set(projects.map((project) => project.account_id)).size, 1)
  assert.deepEqual(projects.map(({ name, slug }) => [name, slug]).at(-1), ['own', 'b'])
})

test('a project of somebody who signed in is never an operator’s, whatever it and its account are called', async () => {
  await admin.query(sql.unsafe`insert into accounts (id, name, issuer, external_id) values ('acc_stranger', 'strange', 'https://id.example', 'org_1')`)
  await admin.query(sql.unsafe`insert into projects (id, account_id, slug, name) values ('proj_stranger', 'acc_stranger', 'ops', 'ops')`)
  const id = await ensureProject(admin, 'strange', 'ops')
  assert.notEqual(id, 'proj_stranger')
  assert.notEqual((await projectOf(id)).account_id, 'acc_stranger')
})

test('the command writes a key that works to a file of its user alone, keeps one that does, and prints neither', async () => {
  const file = join(folder, 'key')
  const bootstrap = () =>
    spawnSync(process.execPath, ['store/admin.ts', 'bootstrap', '--account', 'own', '--project', 'typed', '--key-file', file], {
      cwd: join(import.meta.dirname, '../../..'),
      env: { ...process.env, RGRID_POSTGRES_ADMIN_URL: database.adminUrl },
      encoding: 'utf8',
    })
  const { status, stdout, stderr } = bootstrap()
  assert.deepEqual([status, stdout], [0, ''], stderr)
  const key = readFileSync(file, 'utf8').trim()
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.ok(!stderr.includes(key))
  const holder = await authenticateKey(admin, key)
  assert.deepEqual([holder?.project.slug, (await projectOf(holder?.project.id ?? '')).name], ['typed', 'own'])
  assert.equal(bootstrap().status, 0)
  assert.equal(readFileSync(file, 'utf8').trim(), key)
})
