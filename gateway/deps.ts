import type { Bus } from '#bus/bus.ts'
import type { Minter } from '#bus/credentials.ts'
import type { RuntimeTable } from '#core/runtimes.ts'
import type { Sealer } from '#core/sealer.ts'
import type { Log } from '#core/service/log.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { Tracer } from '#core/service/trace.ts'
import type { WebhookTargets } from '#core/webhook-targets.ts'
import type { ReadMachines } from '#store/explanation/machines.ts'
import type { Objects } from '#store/objects.ts'
import type { DatabasePool } from '#store/pool.ts'
import type { TenantDb } from '#store/tenant.ts'
import type { BulkOptions } from './bulk/options.ts'
import type { HttpOptions } from './http-options.ts'
import type { KnownLimits } from './limits/known-limits.ts'
import type { Pace } from './limits/pace.ts'
import type { Oidc } from './oidc/oidc.ts'

/** What the routes need; made in main.ts, or by a test. */
export interface GatewayDeps {
  /** Sees no tenant's row by itself: routes use the caller's view, `dbOf(request)`. */
  pool: DatabasePool
  bus: Bus
  objects: Objects
  sealer: Sealer
  minter: Minter
  runtimes: RuntimeTable
  log: Log
  metrics: Metrics
  tracer: Tracer
  /** Address of NATS that nodes are told. */
  natsNodeUrl: string
  /** PEM of the CA that nodes are told to check it by; absent: none of its own. */
  natsCa?: string | undefined
  nodeJwtSeconds: number
  urlSeconds: number
  /** What an hour of a slot costs, in microns. */
  slotHourMicrons: number
  webhookTargets: WebhookTargets
  http: HttpOptions
  bulk: BulkOptions
  /** Takes tokens of people; without it only keys are taken. */
  oidc?: Pick<Oidc, 'verify' | 'logins'> | undefined
  /** How long after a token named an organisation its person may choose that account with tokens that do not. */
  organisationGraceSeconds: number
}

/** The same with what the application makes of it for its routes. */
export type RouteDeps = GatewayDeps & { machines: ReadMachines; pace: Pace }

/** The same with one account's view of the database. */
export type TenantDeps = Omit<RouteDeps, 'pool'> & { db: TenantDb }

/** What every group of routes is given. */
export interface RouteOptions {
  deps: RouteDeps
  known: KnownLimits
  /** Is aborted when the gateway stops. */
  stopping: AbortSignal
}
