import { mkdir, statfs } from 'node:fs/promises'
import { resolve } from 'node:path'
import Docker from 'dockerode'
import { meterBus } from '#bus/meters.ts'
import { openNodeBus } from '#bus/open.ts'
import { busCa } from '#bus/tls.ts'
import { parseAllowList } from '#core/allow-list.ts'
import { errorText } from '#core/errors.ts'
import { POWER_OFF_STATUS } from '#core/node.ts'
import { readConfig } from '#core/service/config.ts'
import { createLog, type Log } from '#core/service/log.ts'
import { createLoop } from '#core/service/loop.ts'
import { createMetrics, metricsListener } from '#core/service/metrics.ts'
import { runMain, runServices } from '#core/service/run.ts'
import { nowMs } from '#core/service/time.ts'
import { openTracing } from '#core/service/trace.ts'
import { stopSignal } from '#core/service/wait.ts'
import { createAgent } from './agent.ts'
import { runAttempt } from './attempt.ts'
import type { AttemptDeps } from './attempt-run.ts'
import { runCommand } from './command.ts'
import { nodeFacts, RunnerEnv } from './config.ts'
import { createDeadman } from './deadman.ts'
import { createEgress } from './egress/egress.ts'
import { createHousekeeping, listContainers } from './housekeeping.ts'
import { obtainIdentity, renewIdentity } from './identity.ts'
import { createImageCollector, imageDiskPercent } from './image/collector.ts'
import { createInventory } from './image/inventory.ts'
import { openImageRecord } from './image/record.ts'
import { createWarmer } from './image/warmer.ts'
import { createLogArchiver } from './log/archiver.ts'
import { createRunnerMeters, meterNode } from './meters.ts'
import { attemptPhase } from './record.ts'
import { createReporter } from './report.ts'
import { findLeftovers } from './resume.ts'
import { createImages } from './steps/image.ts'

const VERSION = '0.1.0'
/** A credential is looked at so often, and renewed in the second half of its life. */
const CREDENTIAL_LOOK_MS = 15_000
/** The longest gracePeriodSeconds (core/job/spec.ts). */
const MAX_GRACE_SECONDS = 300

async function main(): Promise<void> {
  const env = readConfig(RunnerEnv)
  const log = createLog('node-runner', env.RGRID_LOG_LEVEL)
  const stop = stopSignal()
  const { name, minFreeBytes, ...capacity } = nodeFacts(env)
  const ownCa = busCa(env)
  const dir = resolve(env.RGRID_NODE_DIR)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const docker = new Docker()
  await docker.ping()
  let busy = () => false

  const deadman = createDeadman({
    limitMs: env.RGRID_DEADMAN_MINUTES * 60_000,
    log,
    busy: () => busy(),
    off: () => switchOff(env.RGRID_DEADMAN_COMMAND, log),
  })
  // Before it has an identity: one that cannot enrol is looked after by nobody either.
  await deadman.loop.start()
  let identity = await obtainIdentity(
    { dir, apiUrl: env.RGRID_API_URL, token: env.RGRID_ENROL_TOKEN, facts: { name, pool: env.RGRID_NODE_POOL, ...capacity, version: VERSION }, log },
    stop,
  )
  stop.throwIfAborted()
  const { nodeId } = identity
  deadman.heard()
  let halfLifeMs = (nowMs() + Date.parse(identity.expiresAt)) / 2
  const nats = { url: identity.natsUrl, ca: ownCa ?? identity.natsCa }
  const bus = await openNodeBus({ nodeId, ...nats, jwt: () => identity.jwt, seed: () => identity.seed, log }, stop)
  const metrics = createMetrics(env.RGRID_METRICS_LISTEN !== undefined)
  meterBus(metrics, bus)
  const meters = createRunnerMeters(metrics)
  const tracing = await openTracing('node-runner', env, metrics, log)
  const leaving = new AbortController()
  const reporter = createReporter(bus, nodeId, log)
  const leftovers = await findLeftovers(dir, log)

  const imageRecord = await openImageRecord(dir, log, nowMs)
  const inventory = createInventory(docker, imageRecord)
  const images = createImages(docker, imageRecord, (result, seconds) => {
    meters.pulled(result, seconds)
    inventory.changed()
  })
  const hasRoom = async () => (await diskBytes(dir)).free >= minFreeBytes
  const warmer = createWarmer({ images, log, hasRoom })
  const allowed = parseAllowList('RGRID_EGRESS_ALLOW', env.RGRID_EGRESS_ALLOW)
  const egress = createEgress(docker, nodeId, dir, allowed)
  const deps: AttemptDeps = {
    nodeId,
    dir,
    docker,
    bus,
    images,
    egress,
    reporter,
    allowed,
    pipIndexUrl: env.RGRID_PIP_INDEX_URL,
    maxLogBytes: env.RGRID_MAX_LOG_BYTES,
    prepareMs: env.RGRID_PREPARE_SECONDS * 1000,
    uploadMs: env.RGRID_UPLOAD_SECONDS * 1000,
    log,
    meters,
    tracer: tracing.tracer,
    leaving: leaving.signal,
  }
  const archiver = createLogArchiver(deps)
  for (const attemptId of leftovers.unarchived) archiver.add(attemptId)
  const agent = createAgent({
    bus,
    nodeId,
    pool: env.RGRID_NODE_POOL,
    capacity,
    claimPollMs: env.RGRID_CLAIM_POLL_SECONDS * 1000,
    heartbeatMs: env.RGRID_HEARTBEAT_SECONDS * 1000,
    renewMs: env.RGRID_RENEW_SECONDS * 1000,
    drainMs: env.RGRID_DRAIN_SECONDS * 1000,
    log,
    unfinished: leftovers.unfinished,
    run: (record, stop) => runAttempt(deps, record, stop, archiver.add),
    listContainers: () => listContainers(docker, nodeId),
    listImages: inventory.list,
    renewed(reply) {
      deadman.heard()
      warmer.want(reply.pull ?? [])
    },
    hasRoom,
    leave: () => leaving.abort(),
    claimed: meters.claimed,
  })
  busy = () => agent.state().attempts.some((record) => attemptPhase(record) !== 'finishing')
  meterNode(metrics, { agent, capacity, disk: () => diskBytes(dir), refusedPackets: egress.refusedPackets })
  const credentials = createLoop({
    name: 'credentials',
    everyMs: CREDENTIAL_LOOK_MS,
    log,
    async round() {
      if (nowMs() < halfLifeMs) return
      identity = await renewIdentity(env.RGRID_API_URL, dir, identity)
      halfLifeMs = (nowMs() + Date.parse(identity.expiresAt)) / 2
      // The server checks a JWT when a connection is made: a new connection takes the new one.
      await bus.connection.reconnect()
    },
  })

  const owned = () => new Set([...agent.running(), ...archiver.waiting()])
  const housekeeping = createHousekeeping({ docker, nodeId, dir, log, owned })

  const imageCollector = createImageCollector({
    docker,
    record: imageRecord,
    maxPercent: env.RGRID_IMAGE_DISK_PERCENT,
    usedPercent: () => imageDiskPercent(docker, dir),
    wanted: images.wanted,
    log,
  })

  // Told to stop meanwhile: nothing runs yet. From here on runServices hears it.
  stop.throwIfAborted()
  const stopTimeoutMs = (env.RGRID_DRAIN_SECONDS + MAX_GRACE_SECONDS + 60) * 1000
  await runServices(
    log,
    [deadman.loop, ...metricsListener(metrics, env.RGRID_METRICS_LISTEN, log), credentials, warmer, archiver.loop, agent, housekeeping, imageCollector],
    stopTimeoutMs,
  )
  await tracing.stop()
  await bus.close()
  await egress.remove()
}

async function switchOff(command: string, log: Log): Promise<never> {
  await runCommand('sh', ['-c', command]).catch((error: unknown) => log.fatal({ error: errorText(error) }, 'the machine could not be switched off from here'))
  process.exit(POWER_OFF_STATUS)
}

async function diskBytes(path: string): Promise<{ free: number; used: number }> {
  const disk = await statfs(path)
  return { free: disk.bavail * disk.bsize, used: (disk.blocks - disk.bfree) * disk.bsize }
}

await runMain(main)
