import { mkdirSync, readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { addAbortSignal } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import type Docker from 'dockerode'
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
      (limit) => probePostgres(connections.postgresAdminUrl, limit),
    ),
    start(
      'NATS',
      !!given.nats,
      () => nats(settings, images, connections),
      (limit) => probeNats(connections.natsUrl, given.nats?.caFile, limit),
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
    // The Go collector works harder beyond this; without it live logs that come fast are held in memory for seconds.
    env: { GOMEMLIMIT: '512MiB' },
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

// The first message of PostgreSQL's protocol (3.0): the answer is R (now the password) or E (an error). Only the error
// 57P03, "starting up", is worth waiting for; any other is for store/admin.ts to explain.
async function probePostgres(url: string, signal: AbortSignal): Promise<void> {
  const { hostname, port, username, pathname } = new URL(url)
  const names = Buffer.from(`user\0${decodeURIComponent(username)}\0database\0${decodeURIComponent(pathname.slice(1))}\0\0`)
  const message = Buffer.alloc(8 + names.length)
  message.writeUInt32BE(message.length, 0)
  message.writeUInt32BE(3 << 16, 4)
  names.copy(message, 8)
  const answer = await firstAnswer(connect({ host: hostname, port: Number(port || 5432) }), signal, message)
  if (answer.includes('57P03')) throw new Error('it is starting up')
  if (answer[0] !== 'R' && answer[0] !== 'E') throw new Error('it is not a PostgreSQL server')
}

async function probeNats(url: string, caFile: string | undefined, signal: AbortSignal): Promise<void> {
  const { protocol, hostname, port } = new URL(url)
  const at = { host: hostname, port: Number(port || 4222) }
  const ca = caFile === undefined ? {} : { ca: readFileSync(caFile) }
  const greeting = await firstAnswer(protocol === 'tls:' ? connectTls({ ...at, ...ca }) : connect(at), signal)
  if (!greeting.startsWith('INFO ')) throw new Error('it is not a NATS server')
}

// A published port accepts before the server inside listens, so what the server says is what counts.
async function firstAnswer(socket: Socket, signal: AbortSignal, message?: Buffer): Promise<string> {
  addAbortSignal(signal, socket)
  try {
    if (message) socket.write(message)
    return await new Promise<string>((resolve, reject) => {
      socket.once('error', reject).once('close', () => reject(new Error('it closed the connection')))
      socket.once('data', (data) => resolve(data.toString('latin1')))
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
