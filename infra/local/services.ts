import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { addAbortSignal } from 'node:stream'
import type Docker from 'dockerode'
import pg from 'pg'
import { assertRunning, runContainer, type ServiceContainer } from './container.ts'
import type { EnsureImage } from './images.ts'
import { step } from './progress.ts'
import { type Connections, secretPath } from './secrets.ts'
import type { Settings } from './settings.ts'
import { StopWaiting, waitFor } from './wait.ts'

const READY_DEADLINE_MS = 60_000

/** Starts Postgres, NATS and S3, those that were not given as addresses, and waits until each answers. */
export async function startServices(settings: Settings, docker: Docker, images: EnsureImage, connections: Connections, signal: AbortSignal): Promise<void> {
  const { given } = settings
  const start = async (name: string, isGiven: boolean, describe: () => Promise<ServiceContainer>, probe: (signal: AbortSignal) => Promise<void>) => {
    const container = isGiven ? undefined : await describe().then((service) => runContainer(settings, docker, service))
    await step(`${name} answers`, () =>
      waitFor(name, READY_DEADLINE_MS, signal, async (limit) => {
        if (container) await assertRunning(container).catch(giveUp)
        await probe(limit)
        return true
      }),
    )
  }
  await Promise.all([
    start(
      'Postgres',
      !!given.postgresAdminUrl,
      () => postgres(settings, images),
      () => probePostgres(connections.postgresAdminUrl),
    ),
    start(
      'NATS',
      !!given.nats,
      () => nats(settings, images, connections),
      (limit) => probeNats(connections.natsUrl, limit),
    ),
    start(
      'S3',
      !!given.s3,
      () => s3(settings, images),
      (limit) => probeS3(connections.s3.url, limit),
    ),
  ])
}

async function postgres(settings: Settings, images: EnsureImage): Promise<ServiceContainer> {
  return {
    name: 'postgres',
    image: await images('postgres'),
    cmd: ['postgres', '-c', 'max_connections=200', '-c', 'shared_buffers=256MB'],
    env: { POSTGRES_DB: 'rgrid', POSTGRES_PASSWORD_FILE: '/run/secrets/password' },
    files: {
      '/var/lib/postgresql/data': { path: dataDir(settings, 'postgres'), writable: true },
      '/run/secrets/password': { path: secretPath(settings, 'postgres-admin-password') },
    },
    containerPort: 5432,
    port: settings.ports.postgres,
  }
}

async function nats(settings: Settings, images: EnsureImage, connections: Connections): Promise<ServiceContainer> {
  return {
    name: 'nats',
    image: await images('nats'),
    cmd: ['--config', '/etc/nats/nats-server.conf'],
    files: {
      '/etc/nats/nats-server.conf': { path: join(settings.root, 'infra/nats/nats-server.conf') },
      '/etc/nats/trust/resolver.conf': { path: join(connections.trustDir, 'resolver.conf') },
      '/data': { path: dataDir(settings, 'nats'), writable: true },
    },
    containerPort: 4222,
    port: settings.ports.nats,
    capabilities: [],
    readOnly: true,
  }
}

async function s3(settings: Settings, images: EnsureImage): Promise<ServiceContainer> {
  return {
    name: 's3',
    image: await images('s3'),
    entrypoint: ['/bin/sh', '/serve.sh'],
    cmd: [],
    env: { S3_ACCESS_KEY_FILE: '/run/secrets/access-key', S3_SECRET_KEY_FILE: '/run/secrets/secret-key' },
    files: {
      '/serve.sh': { path: join(settings.root, 'infra/images/s3/serve.sh') },
      '/data': { path: dataDir(settings, 's3'), writable: true },
      '/run/secrets/access-key': { path: secretPath(settings, 's3-access-key') },
      '/run/secrets/secret-key': { path: secretPath(settings, 's3-secret-key') },
    },
    containerPort: 9000,
    port: settings.ports.s3,
  }
}

async function probePostgres(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  // A connection that breaks later is reported here too; without a listener it would end this process.
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query('SELECT 1')
  } catch (error) {
    // Wrong password or missing database (class 28, 3D): waiting changes nothing.
    if (/^(28|3D)/.test((error as { code?: string }).code ?? '')) giveUp(error as Error)
    throw error
  } finally {
    await client.end().catch(() => undefined)
  }
}

// A published port accepts before the server inside listens, so the server's greeting is what counts.
async function probeNats(url: string, signal: AbortSignal): Promise<void> {
  const { hostname, port } = new URL(url)
  const socket = addAbortSignal(signal, connect({ host: hostname, port: Number(port || 4222) }))
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject).once('close', () => reject(new Error('it closed the connection')))
      socket.once('data', (data) => (data.toString().startsWith('INFO ') ? resolve() : reject(new Error('it is not a NATS server'))))
    })
  } finally {
    socket.destroy()
  }
}

async function probeS3(url: string, signal: AbortSignal): Promise<void> {
  const response = await fetch(url, { signal })
  await response.body?.cancel()
  if (response.status >= 500) throw new Error(`it answers ${response.status}`)
}

function giveUp(error: Error): never {
  throw new StopWaiting(error.message)
}

function dataDir(settings: Settings, name: string): string {
  const path = join(settings.stateDir, 'data', name)
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return path
}
