import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { envPath, writeEnvFile } from '../../../infra/local/env-file.ts'
import { apiKeyPath } from '../../../infra/local/prepare.ts'
import { makeSecrets, secretPath } from '../../../infra/local/secrets.ts'
import { readSettings } from '../../../infra/local/settings.ts'
import { makeFolders } from '../../../infra/local/state.ts'

const stateDir = mkdtempSync(join(tmpdir(), "rgrid env 'quoted' "))
after(() => rmSync(stateDir, { recursive: true }))
const settings = readSettings({ RGRID_STATE_DIR: stateDir })
makeFolders(settings)

test('a shell that sources the file has every address, also where the folder has quotes in its name', () => {
  const connections = makeSecrets(settings)
  writeFileSync(apiKeyPath(settings), 'rgrid_live_abcdefgh_secret\n')
  writeEnvFile(settings, connections)
  const names = ['RGRID_API_URL', 'RGRID_API_KEY', 'RGRID_GATEWAY_DATABASE_URL', 'RGRID_NATS_URL', 'RGRID_NATS_TRUST_DIR', 'RGRID_S3_SECRET_KEY']
  const script = `. "$1"; for name in ${names.join(' ')}; do eval "printf '%s\\n' \\"\\$$name\\""; done`
  const values = execFileSync('sh', ['-c', script, 'sh', envPath(settings)], { env: {}, encoding: 'utf8' })
    .trimEnd()
    .split('\n')
  assert.deepEqual(values, [
    'http://127.0.0.1:8470',
    'rgrid_live_abcdefgh_secret',
    connections.gatewayDatabaseUrl,
    'nats://127.0.0.1:8472',
    join(settings.stateDir, 'nats', 'trust'),
    connections.s3.secretKey,
  ])
  assert.equal(statSync(envPath(settings)).mode & 0o777, 0o600)
})

test('secrets are made once, readable by their owner only, and differ between roles', () => {
  const first = makeSecrets(settings)
  assert.deepEqual(makeSecrets(settings), first)
  assert.equal(statSync(secretPath(settings, 's3-secret-key')).mode & 0o777, 0o600)
  const passwords = [first.postgresAdminUrl, first.gatewayDatabaseUrl, first.schedulerDatabaseUrl].map((url) => new URL(url).password)
  assert.equal(new Set(passwords).size, 3)
})
