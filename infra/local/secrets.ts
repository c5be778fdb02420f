import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Settings } from './settings.ts'
import { readIfThere, trustDir, writeWhole } from './state.ts'

/** The names of the generated secrets; each is a file of that name (mode 600) in the state folder's `secrets`. */
export type SecretName =
  | 'postgres-admin-password'
  | 'gateway-db-password'
  | 'scheduler-db-password'
  | 's3-access-key'
  | 's3-secret-key'
  | 'secret-keys'
  | 'postgres-admin-url'
  | 'gateway-database-url'
  | 'scheduler-database-url'

/** Where everything of the instance is reached, secrets included: never to be printed. */
export interface Connections {
  apiUrl: string
  postgresAdminUrl: string
  gatewayDatabaseUrl: string
  schedulerDatabaseUrl: string
  natsUrl: string
  trustDir: string
  s3: { url: string; region: string; bucket: string; accessKey: string; secretKey: string }
}

/** The path of a secret's file. */
export function secretPath(settings: Settings, name: SecretName): string {
  return join(settings.stateDir, 'secrets', name)
}

/** Makes the secrets that are missing, keeps the others, and writes the database addresses that hold them. */
export function makeSecrets(settings: Settings): Connections {
  const { given, ports } = settings
  const adminPassword = ensureSecret(settings, 'postgres-admin-password')
  const postgresAdminUrl = given.postgresAdminUrl ?? `postgres://postgres:${adminPassword}@127.0.0.1:${ports.postgres.number}/rgrid`
  const asRole = (role: string, password: string) => {
    const url = new URL(postgresAdminUrl)
    url.username = role
    url.password = password
    return url.href
  }
  const connections: Connections = {
    apiUrl: `http://127.0.0.1:${ports.api.number}`,
    postgresAdminUrl,
    gatewayDatabaseUrl: asRole('rgrid_gateway', ensureSecret(settings, 'gateway-db-password')),
    schedulerDatabaseUrl: asRole('rgrid_scheduler', ensureSecret(settings, 'scheduler-db-password')),
    natsUrl: given.nats?.url ?? `nats://127.0.0.1:${ports.nats.number}`,
    trustDir: trustDir(settings),
    s3: {
      url: given.s3?.url ?? `http://127.0.0.1:${ports.s3.number}`,
      region: process.env.RGRID_S3_REGION || 'us-east-1',
      bucket: process.env.RGRID_S3_BUCKET || 'rgrid',
      accessKey: ensureSecret(settings, 's3-access-key', given.s3?.accessKey),
      secretKey: ensureSecret(settings, 's3-secret-key', given.s3?.secretKey),
    },
  }
  ensureSecret(settings, 'secret-keys', undefined, () => `local:${randomBytes(32).toString('base64')}`)
  writeWhole(secretPath(settings, 'postgres-admin-url'), connections.postgresAdminUrl)
  writeWhole(secretPath(settings, 'gateway-database-url'), connections.gatewayDatabaseUrl)
  writeWhole(secretPath(settings, 'scheduler-database-url'), connections.schedulerDatabaseUrl)
  return connections
}

/** A random value made once per state folder; containers carry it, so that those of a deleted folder are not taken over. */
export function stateId(settings: Settings): string {
  const path = join(settings.stateDir, 'id')
  const id = readIfThere(path) ?? randomBytes(8).toString('hex')
  writeWhole(path, id)
  return id
}

function ensureSecret(settings: Settings, name: SecretName, given?: string, make?: () => string): string {
  const path = secretPath(settings, name)
  const secret = given ?? readIfThere(path) ?? make?.() ?? randomBytes(name === 's3-access-key' ? 10 : 24).toString('hex')
  writeWhole(path, secret)
  return secret
}
