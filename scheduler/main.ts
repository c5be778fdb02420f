import { Control } from '#bus/messages/node.ts'
import { meterBus } from '#bus/meters.ts'
import { openBus } from '#bus/open.ts'
import { controlSubject } from '#bus/subjects.ts'
import { busCa, tlsOptions } from '#bus/tls.ts'
import { DEFAULT_POOL, wakeNodes } from '#bus/wake.ts'
import { createSealer } from '#core/sealer.ts'
import { readConfig } from '#core/service/config.ts'
import { createLog } from '#core/service/log.ts'
import { createMetrics, metricsListener } from '#core/service/metrics.ts'
import { runMain, runServices } from '#core/service/run.ts'
import { openTracing } from '#core/service/trace.ts'
import { stopSignal } from '#core/service/wait.ts'
import { webhookTargets } from '#core/webhook-targets.ts'
import { createClaimStore } from '#store/claims.ts'
import { objectsConfig } from '#store/config.ts'
import { createLeader, LEADER_KEY } from '#store/lock.ts'
import { meterDb, meterWork } from '#store/meters.ts'
import { createObjects } from '#store/objects.ts'
import { openDatabase } from '#store/open.ts'
import { buildAssignments } from './assignments.ts'
import { createBusHealth } from './bus-health.ts'
import { createClaims } from './claims.ts'
import { createCloudMeters } from './cloud/metered.ts'
import { openCloud } from './cloud/open.ts'
import { SchedulerEnv } from './config.ts'
import { createCostCloser } from './cost/closer.ts'
import { createHoldTimer } from './hold-timer.ts'
import { createLogPurger } from './log-purger.ts'
import { openMachines } from './machines/open.ts'
import { createMeters } from './meters.ts'
import { createNodeDesk } from './node-desk.ts'
import { createObjectCollector } from './object-collector.ts'
import { planMachines } from './plan/plan-machines.ts'
import { createPopularImages } from './popular-images.ts'
import { createPresence } from './presence.ts'
import { createLeaseReaper } from './reaper/leases.ts'
import { createOverdueReaper } from './reaper/overdue.ts'
import { createSickNodes } from './reaper/sick-nodes.ts'
import { createRelay } from './relay.ts'
import { answerRenewal } from './renewals.ts'
import { createReports } from './reports.ts'
import { createRetention } from './retention.ts'
import { traceQueued } from './trace.ts'
import { answerUploads } from './uploads.ts'
import { createUsageRoller } from './usage-roller.ts'
import { createWakeSweep } from './waker.ts'
import { meterSender } from './webhooks/meters.ts'
import { createResolve } from './webhooks/resolve.ts'
import { createSender } from './webhooks/send.ts'
import { createWebhooks } from './webhooks/worker.ts'

async function main(): Promise<void> {
  const env = readConfig(SchedulerEnv)
  const natsCa = busCa(env)
  tlsOptions(env.RGRID_NATS_URL, natsCa)
  const targets = webhookTargets(env)
  const sealer = createSealer(env.RGRID_SECRET_KEYS)
  const log = createLog('scheduler', env.RGRID_LOG_LEVEL)
  const metrics = createMetrics(env.RGRID_METRICS_LISTEN !== undefined)
  const opened = openCloud(env, createCloudMeters(metrics), log)
  const stop = stopSignal()
  const db = await openDatabase(env.RGRID_DATABASE_URL, 10, log, stop)
  const claimStore = createClaimStore(env.RGRID_DATABASE_URL)
  const objects = createObjects(objectsConfig(env))
  const logLimits = { bytes: env.RGRID_LOG_STREAM_BYTES, hours: env.RGRID_LOG_STREAM_HOURS }
  const bus = await openBus({ name: 'scheduler', url: env.RGRID_NATS_URL, ca: natsCa, credsFile: env.RGRID_NATS_CREDS_FILE, log, logLimits }, stop)

  const leader = createLeader({ url: env.RGRID_DATABASE_URL, key: LEADER_KEY, log })
  const presence = createPresence(db, log, leader.isLeader)
  meterBus(metrics, bus)
  meterDb(metrics, db)
  meterWork(metrics, db, DEFAULT_POOL)
  const tracing = await openTracing('scheduler', env, metrics, log)
  const meters = createMeters(metrics, leader.isLeader, (job) => traceQueued(tracing.tracer, job))
  const claims = meters.claims(
    createClaims(claimStore, log, {
      nudge: (nodeId) => bus.publish(controlSubject(nodeId), Control, { kind: 'claim' }),
      lifetimeSeconds: env.RGRID_NODE_LIFETIME_SECONDS,
    }),
  )
  const queued = (jobs: number) => wakeNodes(bus, jobs)
  const relay = createRelay(db, bus, log, leader.isLeader, meters.relayed)
  const reports = createReports(db, log, queued, meters.ended, meters.started)
  const popular = createPopularImages(db, log)
  const urlSeconds = env.RGRID_UPLOAD_URL_SECONDS

  const desk = createNodeDesk({
    bus,
    presence,
    claim: meters.answer(async (nodeId, request) => {
      const jobs = await claims.claim(nodeId, request)
      if (jobs.length > 0) relay.kick()
      return { assignments: jobs.length === 0 ? [] : await buildAssignments({ db, objects, sealer, log, urlSeconds }, jobs) }
    }),
    async report(nodeId, report) {
      const reply = await reports.report(nodeId, report)
      relay.kick()
      return reply
    },
    uploads: (nodeId, request) => answerUploads(db, objects, nodeId, request, urlSeconds),
    renew: (nodeId, request) => answerRenewal(db, log, nodeId, request, queued, meters.ended, popular.list()),
  })
  const health = createBusHealth(() => bus.connection.flush(), log)
  const reaper = createLeaseReaper({
    db,
    log,
    leaseMs: env.RGRID_LEASE_SECONDS * 1000,
    isLeader: leader.isLeader,
    busWellForMs: health.wellForMs,
    silentMs: presence.silentMs,
    queued,
    holding: meters.holding,
    lost: meters.lost,
  })

  const machines = openMachines(env, { db, bus, log, metrics, isLeader: leader.isLeader, plan: planMachines, opened })

  stop.throwIfAborted()
  await runServices(
    log,
    [
      ...metricsListener(metrics, env.RGRID_METRICS_LISTEN, log),
      leader,
      health.loop,
      presence.writer,
      popular.loop,
      desk,
      relay,
      createHoldTimer(db, log, leader.isLeader, queued),
      createWakeSweep(db, bus, log, leader.isLeader, env.RGRID_SWEEP_SECONDS * 1000),
      reaper,
      createOverdueReaper({
        db,
        log,
        slackSeconds: env.RGRID_OVERDUE_SECONDS,
        isLeader: leader.isLeader,
        busWellForMs: health.wellForMs,
        queued,
        ended: meters.ended,
      }),
      createSickNodes({
        db,
        log,
        limit: env.RGRID_CORDON_JOBS,
        retrySeconds: env.RGRID_CORDON_SECONDS,
        isLeader: leader.isLeader,
        tell: (nodeId, kind) => bus.publish(controlSubject(nodeId), Control, kind === 'drain' ? { kind, patient: true } : { kind }),
        judged: meters.judged,
      }),
      createObjectCollector(db, objects, log, leader.isLeader),
      createRetention(db, log, leader.isLeader, env.RGRID_AUDIT_DAYS),
      createUsageRoller(db, log, leader.isLeader),
      createCostCloser(db, log, leader.isLeader),
      ...machines,
      createLogPurger(db, bus, log, leader.isLeader, env.RGRID_LOG_GRACE_SECONDS),
      createWebhooks({
        db,
        bus,
        log,
        sealer,
        send: meterSender(metrics, createSender({ ...targets, resolve: createResolve() })),
        disableDays: env.RGRID_WEBHOOK_DISABLE_DAYS,
      }),
    ],
    20_000,
  )
  await tracing.stop()
  await bus.close()
  await claimStore.close()
  await db.end()
  objects.close()
}

await runMain(main)
