import { tmpdir } from 'node:os'
import { Writable } from 'node:stream'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import type { Bus } from '#bus/bus.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { createSealer } from '#core/sealer.ts'
import { createLog } from '#core/service/log.ts'
import { createMetrics } from '#core/service/metrics.ts'
import { NO_TRACER } from '#core/service/trace.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { createObjects, type Objects } from '#store/objects.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { accountDb, type TenantDb } from '#store/tenant.ts'
import { buildApp } from '../../gateway/app.ts'
import type { BulkOptions } from '../../gateway/bulk/options.ts'
import type { GatewayDeps } from '../../gateway/deps.ts'
import type { HttpOptions } from '../../gateway/http-options.ts'
import { type Attempts, createAttempts } from './attempts.ts'
import { serviceBus, testMinter } from './bus.ts'
import { createTestDatabase } from './database.ts'
import { createFactory, type Factory } from './factory.ts'
import { TEST_SECRET_KEYS } from './secret-keys.ts'
import { testServices } from './services.ts'

/** How a gateway of tests speaks HTTP: it refuses nothing for being busy. */
export const TEST_HTTP: HttpOptions = {
  requestMs: 60_000,
  corsOrigins: [],
  trustedProxies: [],
  hstsSeconds: 0,
  maxLoopDelayMs: 0,
  maxHeapBytes: 0,
  maxRssBytes: 0,
}
/** How it takes batches. */
export const TEST_BULK: BulkOptions = { idleMs: 60_000, spoolDir: tmpdir(), spoolBytes: 2 ** 31 }

/** A gateway on a database of its own, with the real bus and object store. */
export interface TestGateway {
  app: FastifyInstance
  /** The gateway's own connection, as the account of `default` sees it. */
  db: TenantDb
  /** A connection that may write everything. */
  admin: DatabasePool
  /** Where its database is for a scheduler. */
  schedulerUrl: string
  factory: Factory
  attempts: Attempts
  bus: Bus
  objects: Objects
  key: string
  /** Each line that the gateway logged. */
  logged: string[]
  /** Calls it with the key of the project `default`. */
  call(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: unknown, headers?: Record<string, string>): Promise<LightMyRequestResponse>
  /** Another gateway on the same servers; close it. */
  another(): Promise<FastifyInstance>
  /** Listens on a port of the loopback interface and returns the address. */
  listen(): Promise<string>
  stop(): Promise<void>
}

/** Starts one; `change` replaces what it stands on, `through` the way to its database. Call `stop` in `after`. */
export async function startGateway(change: Partial<GatewayDeps> = {}, through = (url: string) => url): Promise<TestGateway> {
  const database = await createTestDatabase()
  const services = testServices()
  const admin = await createDbPool(database.adminUrl, 4)
  const db = await createDbPool(through(database.gatewayUrl), 10)
  const bus = await serviceBus('gateway')
  const objects = createObjects({ ...services.s3, presignUrl: services.s3.url })
  await objects.ensureBucket()
  const factory = await createFactory(admin)
  const attempts = await createAttempts(database.schedulerUrl, factory)
  const key = await createApiKey(admin, await ensureProject(admin, 'default', 'default'), 'test')
  const logged: string[] = []
  const sink = new Writable({
    write(line, _, done) {
      logged.push(String(line))
      done()
    },
  })
  const deps: GatewayDeps = {
    pool: db,
    bus,
    objects,
    sealer: createSealer(TEST_SECRET_KEYS),
    minter: testMinter(),
    runtimes: RUNTIMES,
    log: createLog('gateway', 'debug', sink),
    metrics: createMetrics(),
    tracer: NO_TRACER,
    natsNodeUrl: services.natsUrl,
    nodeJwtSeconds: 3600,
    urlSeconds: 600,
    slotHourMicrons: 4800,
    webhookTargets: { ports: [80, 443, 8080, 8443], allowed: [] },
    http: TEST_HTTP,
    organisationGraceSeconds: 3600,
    bulk: TEST_BULK,
    ...change,
  }
  const app = await buildApp(deps)
  return {
    app,
    another: () => buildApp({ ...deps, metrics: createMetrics() }),
    db: accountDb(db, factory.accountId),
    admin,
    schedulerUrl: database.schedulerUrl,
    factory,
    attempts,
    bus,
    objects,
    key,
    logged,
    call: (method, url, body, headers = {}) =>
      app.inject({
        method,
        url,
        headers: { authorization: `Bearer ${key}`, ...headers },
        ...(body === undefined ? {} : { payload: body as object }),
      }),
    listen: () => app.listen({ host: '127.0.0.1', port: 0 }),
    async stop() {
      await app.close()
      await Promise.all([bus.close(), db.end(), admin.end(), attempts.close()])
      objects.close()
      await database.drop()
    },
  }
}
