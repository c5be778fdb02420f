import { join } from 'node:path'
import { apiKeyPath } from './prepare.ts'
import type { Connections } from './secrets.ts'
import type { Settings } from './settings.ts'
import { readIfThere, writeWhole } from './state.ts'

/** The file that a shell sources to reach everything of this instance. */
export function envPath(settings: Settings): string {
  return join(settings.stateDir, 'env')
}

/** Writes `.rgrid/env` (mode 600); the API key is in it once there is one. */
export function writeEnvFile(settings: Settings, connections: Connections): void {
  const key = readIfThere(apiKeyPath(settings))?.trim()
  const values: Record<string, string> = {
    RGRID_API_URL: connections.apiUrl,
    ...(key ? { RGRID_API_KEY: key } : {}),
    RGRID_POSTGRES_ADMIN_URL: connections.postgresAdminUrl,
    RGRID_GATEWAY_DATABASE_URL: connections.gatewayDatabaseUrl,
    RGRID_SCHEDULER_DATABASE_URL: connections.schedulerDatabaseUrl,
    RGRID_NATS_URL: connections.natsUrl,
    RGRID_NATS_TRUST_DIR: connections.trustDir,
    ...(settings.given.nats?.caFile ? { RGRID_NATS_CA_FILE: settings.given.nats.caFile } : {}),
    RGRID_S3_URL: connections.s3.url,
    RGRID_S3_BUCKET: connections.s3.bucket,
    RGRID_S3_REGION: connections.s3.region,
    RGRID_S3_ACCESS_KEY: connections.s3.accessKey,
    RGRID_S3_SECRET_KEY: connections.s3.secretKey,
  }
  const lines = Object.entries(values).map(([name, value]) => `export ${name}='${value.replaceAll("'", "'\\''")}'`)
  writeWhole(envPath(settings), `${lines.join('\n')}\n`)
}
