import type { Bus } from '#bus/bus.ts'
import type { Minter } from '#bus/credentials.ts'
import type { RuntimeTable } from '#core/runtimes.ts'
import type { Log } from '#core/service/log.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { WebhookTargets } from '#core/webhook-targets.ts'
import type { Objects } from '#store/objects.ts'
import type { DatabasePool } from '#store/pool.ts'

/** What the routes need; made in main.ts, or by a test. */
export interface GatewayDeps {
  db: DatabasePool
  bus: Bus
  objects: Objects
  minter: Minter
  runtimes: RuntimeTable
  log: Log
  metrics: Metrics
  /** Address of NATS that nodes are told. */
  natsNodeUrl: string
  nodeJwtSeconds: number
  urlSeconds: number
  webhookTargets: WebhookTargets
}
