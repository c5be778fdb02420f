import { join } from 'node:path'
import { runCommand } from './command.ts'
import { step } from './progress.ts'
import { type Connections, secretPath } from './secrets.ts'
import type { Settings } from './settings.ts'

const DEADLINE_MS = 120_000

/** Where the API key of the project `default` is kept. */
export function apiKeyPath(settings: Settings): string {
  return join(settings.stateDir, 'api-key')
}

/** Where the one-time token of the local node is kept. */
export function enrolTokenPath(settings: Settings): string {
  return join(settings.stateDir, 'enrol-token')
}

/** Makes the NATS operator, account and service credentials, once. NATS cannot start without them. */
export async function makeTrust(settings: Settings, connections: Connections, signal: AbortSignal): Promise<void> {
  await step('NATS operator and accounts', () => admin(settings, ['bus/trust.ts', '--dir', connections.trustDir], {}, signal))
}

/** Roles, migrations and bucket; then project `default`, its API key, and a one-time token for the local node. */
export async function prepareStore(settings: Settings, connections: Connections, signal: AbortSignal): Promise<void> {
  const env = {
    RGRID_POSTGRES_ADMIN_URL_FILE: secretPath(settings, 'postgres-admin-url'),
    RGRID_GATEWAY_DB_PASSWORD_FILE: secretPath(settings, 'gateway-db-password'),
    RGRID_SCHEDULER_DB_PASSWORD_FILE: secretPath(settings, 'scheduler-db-password'),
    ...objectsEnv(settings, connections),
  }
  const run = (...args: string[]) => admin(settings, ['store/admin.ts', ...args], env, signal)
  await step('database and bucket', () => run('prepare'))
  await step('API key and node token', () =>
    Promise.all([
      run('bootstrap', '--project', 'default', '--key-file', apiKeyPath(settings)),
      run('enrolment-token', '--token-file', enrolTokenPath(settings)),
    ]),
  )
}

/** How a process reaches the object store. */
export function objectsEnv(settings: Settings, connections: Connections): Record<string, string> {
  return {
    RGRID_S3_URL: connections.s3.url,
    RGRID_S3_REGION: connections.s3.region,
    RGRID_S3_BUCKET: connections.s3.bucket,
    RGRID_S3_ACCESS_KEY_FILE: secretPath(settings, 's3-access-key'),
    RGRID_S3_SECRET_KEY_FILE: secretPath(settings, 's3-secret-key'),
  }
}

/** The environment for our own processes: the caller's, without what names another installation. */
export function cleanEnv(): NodeJS.ProcessEnv {
  const foreign = /^RGRID_(API_|POSTGRES_|NATS_|S3_|DATABASE_|GATEWAY_|SCHEDULER_DATABASE|LISTEN|ENROL_|STATE_DIR|PORT_)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

async function admin(settings: Settings, args: string[], env: Record<string, string>, signal: AbortSignal): Promise<void> {
  await runCommand(process.execPath, args, { cwd: settings.root, env: { ...cleanEnv(), ...env }, signal, deadlineMs: DEADLINE_MS })
}
