import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { BRING_UP_MS, COMMAND_MS, runCommand } from '../harness/platform.ts'
import { freePorts } from '../harness/ports.ts'
import { type Receiver, startReceiver } from '../harness/receiver.ts'
import { actOnServer, type ServerName } from '../harness/server-container.ts'
import { type DockerProxy, startDockerProxy } from './docker-proxy.ts'
import { type CutNetwork, createCutNetwork } from './network.ts'
import { createVictim, type Victim } from './process.ts'
import { createTokens } from './tokens.ts'

const ROOT = join(import.meta.dirname, '../..')
const GATEWAYS = 2
const SCHEDULERS = 2
const RUNNERS = 3
const SLOTS = 3
/** The runner whose folder is on a small disk, and the one whose network can be cut. */
export const DISK_RUNNER = 1
/** See DISK_RUNNER. */
export const NETWORK_RUNNER = 2
const DISK_MEGABYTES = 700

/** The addresses and secrets of the servers, as the local bring-up wrote them. */
export interface Servers {
  postgresAdminUrl: string
  natsUrl: string
  natsTrustDir: string
  s3: { url: string; region: string; bucket: string; accessKey: string; secretKey: string }
  apiKey: string
}

/** The whole platform as real processes on servers of its own. */
export interface Stack {
  dir: string
  servers: Servers
  apiUrls: string[]
  gateways: Victim[]
  schedulers: Victim[]
  runners: Victim[]
  runnerDirs: string[]
  witnessDir: string
  network: CutNetwork
  /** Where webhooks are sent. */
  receiver: Receiver
  /** Ends a server at once, or starts it again. */
  server(name: ServerName, action: 'kill' | 'start'): Promise<void>
  /** Fills the small disk until nothing is left; `false` frees it again. */
  fillDisk(full: boolean): Promise<void>
  /** Ends everything; `keep` leaves the folder. */
  stop(keep: boolean): Promise<void>
}

/** Starts it in `dir`. `leaseSeconds` is short, so that much happens in little time. */
export async function startStack(dir: string, leaseSeconds: number): Promise<Stack> {
  const undo: (() => Promise<unknown>)[] = []
  try {
    return await build(dir, leaseSeconds, undo)
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => undefined)
    throw error
  }
}

async function build(dir: string, leaseSeconds: number, undo: (() => Promise<unknown>)[]): Promise<Stack> {
  const folder = (name: string, mode = 0o700) => {
    mkdirSync(join(dir, name), { recursive: true, mode })
    return join(dir, name)
  }
  const logDir = folder('logs')
  const witnessDir = folder('witness')
  await must('chmod', ['1777', witnessDir])
  const local = (command: string) => must(process.execPath, [join(ROOT, 'infra/local/main.ts'), command], BRING_UP_MS)
  Object.assign(process.env, { ...(await freePorts()), RGRID_STATE_DIR: folder('state') })
  undo.push(() => local('down-services'))
  await local('images')
  await local('up-services')
  const servers = readServers(join(dir, 'state'))
  const network = await createCutNetwork()
  undo.push(network.close)
  const docker = await startDockerProxy(join(dir, 'docker.sock'), witnessDir)
  undo.push(docker.close)
  const disk = await makeSmallDisk(dir)
  undo.push(disk.remove)
  const receiver = await startReceiver()
  undo.push(receiver.stop)
  const webhookAllow = `127.0.0.1:${receiver.port}`
  const victims = await makeVictims({ dir, folder, logDir, leaseSeconds, servers, network, docker, smallDisk: disk.path, webhookAllow })
  undo.push(() => Promise.all(victims.all.map((victim) => victim.stop(20_000))))
  for (const victim of victims.all) victim.start()
  return {
    dir,
    servers,
    network,
    receiver,
    witnessDir,
    ...victims,
    server: (name, action) => actOnServer(join(dir, 'state'), name, action),
    fillDisk: disk.fill,
    async stop(keep) {
      for (const step of undo.reverse()) await step()
      if (!keep) rmSync(dir, { recursive: true, force: true })
    },
  }
}

interface VictimPlan {
  dir: string
  folder(name: string): string
  logDir: string
  leaseSeconds: number
  servers: Servers
  network: CutNetwork
  docker: DockerProxy
  smallDisk: string
  webhookAllow: string
}

async function makeVictims(plan: VictimPlan) {
  const { servers, network, leaseSeconds, logDir } = plan
  const trust = (file: string) => join(servers.natsTrustDir, file)
  const portOf = (url: string) => Number(new URL(url).port)
  // All nodes are told the same addresses, so all of them go by the link's.
  const nats = `nats://${network.address}:${await network.expose(portOf(servers.natsUrl))}`
  const s3 = `http://${network.address}:${await network.expose(portOf(servers.s3.url))}`
  const common = {
    RGRID_NATS_URL: servers.natsUrl,
    RGRID_S3_URL: servers.s3.url,
    RGRID_S3_PRESIGN_URL: s3,
    RGRID_S3_REGION: servers.s3.region,
    RGRID_S3_BUCKET: servers.s3.bucket,
    RGRID_S3_ACCESS_KEY: servers.s3.accessKey,
    RGRID_S3_SECRET_KEY: servers.s3.secretKey,
    RGRID_WEBHOOK_ALLOW: plan.webhookAllow,
    RGRID_SECRET_KEYS: readFileSync(join(plan.dir, 'state/secrets/secret-keys'), 'utf8').trim(),
  }
  const secret = (name: string) => readFileSync(join(plan.dir, 'state/secrets', name), 'utf8').trim()
  const ports = Object.values(await freePorts())
  const apiUrls = ports.slice(0, GATEWAYS).map((port) => `http://127.0.0.1:${port}`)
  const gateways = apiUrls.map((url, i) =>
    createVictim({
      name: `gateway-${i}`,
      folder: 'gateway',
      logDir,
      env: {
        ...common,
        RGRID_LISTEN: url.slice('http://'.length),
        RGRID_DATABASE_URL: secret('gateway-database-url'),
        RGRID_NATS_CREDS_FILE: trust('gateway.creds'),
        RGRID_NATS_NODE_URL: nats,
        RGRID_NATS_ACCOUNT_FILE: trust('account.pub'),
        RGRID_NATS_SIGNING_SEED_FILE: trust('signing.seed'),
        RGRID_RUNTIMES_FILE: join(plan.dir, 'state/runtimes.json'),
      },
    }),
  )
  const schedulers = Array.from({ length: SCHEDULERS }, (_, i) =>
    createVictim({
      name: `scheduler-${i}`,
      folder: 'scheduler',
      logDir,
      env: {
        ...common,
        RGRID_DATABASE_URL: secret('scheduler-database-url'),
        RGRID_NATS_CREDS_FILE: trust('scheduler.creds'),
        RGRID_LEASE_SECONDS: String(leaseSeconds),
        RGRID_UPLOAD_URL_SECONDS: '60',
      },
    }),
  )
  const tokens = await createTokens(servers.postgresAdminUrl, RUNNERS)
  const api = await network.expose(portOf(apiUrls[0] as string))
  const runnerDirs = Array.from({ length: RUNNERS }, (_, i) => (i === DISK_RUNNER ? plan.smallDisk : plan.folder(`node-${i}`)))
  const runners = runnerDirs.map((nodeDir, i) =>
    createVictim({
      name: `runner-${i}`,
      folder: 'node-runner',
      logDir,
      prefix: i === NETWORK_RUNNER ? network.prefix : [],
      env: {
        DOCKER_HOST: plan.docker.host,
        RGRID_API_URL: `http://${network.address}:${api}`,
        RGRID_ENROL_TOKEN: tokens[i] as string,
        RGRID_NODE_DIR: nodeDir,
        RGRID_NODE_NAME: `chaos-${i}`,
        RGRID_NODE_SLOTS: String(SLOTS),
        RGRID_NODE_MEMORY: '2Gi',
        RGRID_MIN_FREE_DISK: '128Mi',
        RGRID_HEARTBEAT_SECONDS: '1',
        RGRID_RENEW_SECONDS: '1.5',
        RGRID_CLAIM_POLL_SECONDS: '5',
        RGRID_DRAIN_SECONDS: '2',
      },
    }),
  )
  return { apiUrls, gateways, schedulers, runners, runnerDirs, all: [...gateways, ...schedulers, ...runners] }
}

function readServers(stateDir: string): Servers {
  const text = readFileSync(join(stateDir, 'env'), 'utf8')
  const read = (name: string) => new RegExp(`^export RGRID_${name}='([^']*)'$`, 'm').exec(text)?.[1] ?? ''
  return {
    postgresAdminUrl: read('POSTGRES_ADMIN_URL'),
    natsUrl: read('NATS_URL'),
    natsTrustDir: read('NATS_TRUST_DIR'),
    s3: { url: read('S3_URL'), region: read('S3_REGION'), bucket: read('S3_BUCKET'), accessKey: read('S3_ACCESS_KEY'), secretKey: read('S3_SECRET_KEY') },
    apiKey: read('API_KEY'),
  }
}

/** A folder on a file system of its own that a test can fill. */
async function makeSmallDisk(dir: string) {
  const [image, path] = [join(dir, 'disk.img'), join(dir, 'node-disk')]
  mkdirSync(path, { recursive: true, mode: 0o700 })
  await must('truncate', ['-s', `${DISK_MEGABYTES}M`, image])
  await must('mkfs.ext4', ['-q', '-F', '-m', '0', image])
  await must('mount', ['-o', 'loop', image, path])
  const ballast = join(path, 'ballast')
  return {
    path,
    async fill(full: boolean) {
      rmSync(ballast, { force: true })
      // Ends with "no space left on device", as it is meant to.
      if (full) await runCommand('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1M', `count=${DISK_MEGABYTES}`])
    },
    async remove() {
      await must('umount', [path])
    },
  }
}

async function must(command: string, args: string[], deadlineMs = COMMAND_MS): Promise<string> {
  const result = await runCommand(command, args, { deadlineMs })
  if (result.code !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${result.stdout}\n${result.stderr}`)
  return result.stdout
}
