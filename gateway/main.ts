import { readFileSync } from 'node:fs'
import { Value } from '@sinclair/typebox/value'
import { meterBus } from '#bus/meters.ts'
import { openBus } from '#bus/open.ts'
import { busCa, tlsOptions } from '#bus/tls.ts'
import { RUNTIMES, RuntimeOverrides, type RuntimeTable, withOverrides } from '#core/runtimes.ts'
import { createSealer } from '#core/sealer.ts'
import { ConfigError, listenAddress, readConfig } from '#core/service/config.ts'
import { createLog } from '#core/service/log.ts'
import { createMetrics, metricsListener } from '#core/service/metrics.ts'
import { runMain, runServices } from '#core/service/run.ts'
import { openTracing } from '#core/service/trace.ts'
import { stopSignal } from '#core/service/wait.ts'
import { webhookTargets } from '#core/webhook-targets.ts'
import { objectsConfig } from '#store/config.ts'
import { meterDb } from '#store/meters.ts'
import { createObjects } from '#store/objects.ts'
import { openDatabase } from '#store/open.ts'
import { buildApp } from './app.ts'
import { bulkOptions } from './bulk/options.ts'
import { GatewayEnv } from './config.ts'
import { httpOptions } from './http-options.ts'
import { readOidcFile } from './oidc/config.ts'
import { createOidc } from './oidc/oidc.ts'

async function main(): Promise<void> {
  const env = readConfig(GatewayEnv)
  const log = createLog('gateway', env.RGRID_LOG_LEVEL)
  const natsCa = busCa(env)
  const natsNodeUrl = env.RGRID_NATS_NODE_URL ?? env.RGRID_NATS_URL
  tlsOptions(env.RGRID_NATS_URL, natsCa)
  tlsOptions(natsNodeUrl, natsCa, 'RGRID_NATS_NODE_URL')
  const runtimes = readRuntimes(env.RGRID_RUNTIMES_FILE)
  const http = httpOptions(env)
  const oidc = env.RGRID_OIDC_FILE === undefined ? undefined : createOidc(readOidcFile(env.RGRID_OIDC_FILE), { log })
  const bulk = bulkOptions(env)
  const stop = stopSignal()
  const db = await openDatabase(env.RGRID_DATABASE_URL, 20, log, stop)
  const objects = createObjects(objectsConfig(env))
  const bus = await openBus({ name: 'gateway', url: env.RGRID_NATS_URL, ca: natsCa, credsFile: env.RGRID_NATS_CREDS_FILE, log }, stop)
  const metrics = createMetrics(env.RGRID_METRICS_LISTEN !== undefined)
  meterBus(metrics, bus)
  meterDb(metrics, db)
  const tracing = await openTracing('gateway', env, metrics, log)
  const app = await buildApp({
    pool: db,
    bus,
    objects,
    sealer: createSealer(env.RGRID_SECRET_KEYS),
    minter: { account: env.RGRID_NATS_ACCOUNT, signingSeed: env.RGRID_NATS_SIGNING_SEED },
    runtimes,
    log,
    metrics,
    tracer: tracing.tracer,
    natsNodeUrl,
    natsCa,
    nodeJwtSeconds: env.RGRID_NODE_JWT_SECONDS,
    urlSeconds: env.RGRID_URL_SECONDS,
    slotHourMicrons: env.RGRID_SLOT_HOUR_MICRONS,
    webhookTargets: webhookTargets(env),
    http,
    bulk,
    oidc,
    organisationGraceSeconds: env.RGRID_ORGANISATION_GRACE_SECONDS,
  })

  stop.throwIfAborted()
  await runServices(
    log,
    [
      ...metricsListener(metrics, env.RGRID_METRICS_LISTEN, log),
      ...(oidc ? [oidc] : []),
      {
        name: 'http',
        async start() {
          await app.listen(listenAddress(env.RGRID_LISTEN))
        },
        async stop() {
          await app.close()
        },
      },
    ],
    20_000,
  )
  await tracing.stop()
  await bus.close()
  await db.end()
  objects.close()
}

function readRuntimes(path: string | undefined): RuntimeTable {
  if (path === undefined) return RUNTIMES
  const overrides: unknown = JSON.parse(readFileSync(path, 'utf8'))
  if (!Value.Check(RuntimeOverrides, overrides))
    throw new ConfigError([`RGRID_RUNTIMES_FILE: ${path} must hold a JSON object of runtime name → image reference`])
  return withOverrides(RUNTIMES, overrides)
}

await runMain(main)
