import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { Type } from '@sinclair/typebox'
import { createSealer, newSecretKey, SealerEnv } from '#core/sealer.ts'
import { readConfig } from '#core/service/config.ts'
import { createLog } from '#core/service/log.ts'
import { runMain } from '#core/service/run.ts'
import { createApiKey, createEnrolmentToken, ensureProject, isLiveApiKey } from './bootstrap.ts'
import { ObjectsEnv, objectsConfig } from './config.ts'
import { migrate } from './migrate.ts'
import { createObjects } from './objects.ts'
import { createDbPool, type DatabasePool } from './pool.ts'
import { resealAll } from './reseal.ts'
import { prepareRoles } from './roles.ts'

const USAGE = `usage: node store/admin.ts <command>
  prepare                                      roles, migrations, bucket
  bootstrap --key-file FILE [--project SLUG] [--account NAME]
                                               a project of an operator's account, and an API key of an operator for it
  secret-key [--id ID]                         prints a new key for RGRID_SECRET_KEYS
  rotate-secrets                               seals what is sealed with the first of RGRID_SECRET_KEYS
  enrolment-token --token-file FILE [--ttl S]  a one-time token for a new node`

const AdminEnv = Type.Object({
  RGRID_POSTGRES_ADMIN_URL: Type.String({ description: 'URL of the database as a role that may create roles and tables' }),
})
const RotateEnv = Type.Object({ ...AdminEnv.properties, ...SealerEnv })
const PrepareEnv = Type.Object({
  ...AdminEnv.properties,
  ...ObjectsEnv,
  RGRID_GATEWAY_DB_PASSWORD: Type.String({ minLength: 12, description: 'password of the role rgrid_gateway' }),
  RGRID_SCHEDULER_DB_PASSWORD: Type.String({ minLength: 12, description: 'password of the role rgrid_scheduler' }),
})

/** The commands that set an installation up. Each can be repeated. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      account: { type: 'string', default: 'default' },
      project: { type: 'string', default: 'default' },
      'key-file': { type: 'string' },
      'token-file': { type: 'string' },
      ttl: { type: 'string', default: '3600' },
      id: { type: 'string', default: new Date().toISOString().slice(0, 10) },
    },
  })
  switch (positionals[0]) {
    case 'prepare':
      return prepare()
    case 'bootstrap':
      return withDb((db) => bootstrap(db, values, required(values['key-file'], '--key-file')))
    case 'secret-key':
      process.stdout.write(`${newSecretKey(values.id)}\n`)
      return
    case 'rotate-secrets':
      return rotateSecrets()
    case 'enrolment-token':
      return withDb(async (db) => writeSecret(required(values['token-file'], '--token-file'), await createEnrolmentToken(db, Number(values.ttl))))
    default:
      throw new Error(USAGE)
  }
}

async function prepare(): Promise<void> {
  const env = readConfig(PrepareEnv)
  const log = createLog('admin', process.env.RGRID_LOG_LEVEL ?? 'info')
  await prepareRoles(env.RGRID_POSTGRES_ADMIN_URL, { gateway: env.RGRID_GATEWAY_DB_PASSWORD, scheduler: env.RGRID_SCHEDULER_DB_PASSWORD })
  const done = await migrate(env.RGRID_POSTGRES_ADMIN_URL, log)
  const objects = createObjects(objectsConfig(env))
  await objects.ensureBucket()
  objects.close()
  log.info({ migrations: done, bucket: env.RGRID_S3_BUCKET }, 'prepared')
}

async function bootstrap(db: DatabasePool, { account, project }: { account: string; project: string }, keyFile: string): Promise<void> {
  const projectId = await ensureProject(db, account, project)
  if (existsSync(keyFile) && (await isLiveApiKey(db, readFileSync(keyFile, 'utf8').trim()))) return
  writeSecret(keyFile, await createApiKey(db, projectId, 'bootstrap'))
}

async function rotateSecrets(): Promise<void> {
  const sealer = createSealer(readConfig(RotateEnv).RGRID_SECRET_KEYS)
  await withDb(async (db) => {
    const { resealed, unopened } = await resealAll(db, sealer)
    createLog('admin', process.env.RGRID_LOG_LEVEL ?? 'info').info({ resealed, unopened: unopened.length }, 'sealed with the first key')
    if (unopened.length > 0) throw new Error(`these could not be opened, and stay as they are; keep the keys until they are set anew: ${unopened.join(', ')}`)
  })
}

async function withDb(work: (db: DatabasePool) => Promise<void>): Promise<void> {
  const db = await createDbPool(readConfig(AdminEnv).RGRID_POSTGRES_ADMIN_URL, 2)
  try {
    await work(db)
  } finally {
    await db.end()
  }
}

function writeSecret(path: string, secret: string): void {
  writeFileSync(`${path}.new`, `${secret}\n`, { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

function required(value: string | undefined, option: string): string {
  if (value === undefined) throw new Error(`${option} is missing\n${USAGE}`)
  return value
}

await runMain(main)
