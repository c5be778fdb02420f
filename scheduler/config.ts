import { type Static, Type } from '@sinclair/typebox'
import { BusCaEnv } from '#bus/tls.ts'
import { SealerEnv } from '#core/sealer.ts'
import { MetricsEnv } from '#core/service/config.ts'
import { TracingEnv } from '#core/service/trace.ts'
import { WebhookEnv } from '#core/webhook-targets.ts'
import { ObjectsEnv } from '#store/config.ts'
import { BootEnv } from './cloud/boot-config.ts'
import { HetznerEnv } from './cloud/hetzner-config.ts'
import { LocalEnv } from './cloud/local-config.ts'
import { MachinesEnv } from './machines/config.ts'

/** What the scheduler reads from its environment (docs/CONFIGURATION.md). */
export const SchedulerEnv = Type.Object({
  RGRID_DATABASE_URL: Type.String({ description: 'URL of the database as the role rgrid_scheduler' }),
  RGRID_NATS_URL: Type.String({ description: 'address of NATS, such as tls://nats:4222, or nats://127.0.0.1:8472 without TLS' }),
  ...BusCaEnv,
  RGRID_NATS_CREDS_FILE: Type.String({ description: 'path of scheduler.creds' }),
  ...ObjectsEnv,
  ...SealerEnv,
  RGRID_LEASE_SECONDS: Type.Number({ default: 15, minimum: 3, maximum: 600, description: 'a node silent for so long is lost, and its work is run elsewhere' }),
  RGRID_OVERDUE_SECONDS: Type.Number({
    default: 3600,
    minimum: 60,
    maximum: 86_400,
    description: 'an attempt may take so long beyond all its own limits, for uploads and reports; then it is taken from its node, whatever that says',
  }),
  RGRID_CORDON_JOBS: Type.Integer({
    default: 3,
    minimum: 0,
    maximum: 1000,
    description: 'a node takes no more work when so many jobs failed on it by its own fault within 15 minutes and did well elsewhere; 0: never',
  }),
  RGRID_CORDON_SECONDS: Type.Integer({
    default: 3600,
    minimum: 60,
    maximum: 31_536_000,
    description: 'after so long a node that was set up by hand and takes no more work for that reason is tried again',
  }),
  RGRID_SWEEP_SECONDS: Type.Number({ default: 2, minimum: 0.1, maximum: 60, description: 'how often queued work is looked for whose wake-up was lost' }),
  RGRID_UPLOAD_URL_SECONDS: Type.Integer({ default: 3600, minimum: 60, maximum: 86_400, description: 'how long presigned addresses given to nodes are good' }),
  RGRID_LOG_GRACE_SECONDS: Type.Number({
    default: 60,
    minimum: 0,
    maximum: 86_400,
    description: 'how long the live copy of a log that is archived stays on the bus after the end of its attempt',
  }),
  RGRID_LOG_STREAM_BYTES: Type.Integer({
    default: 4 * 2 ** 30,
    minimum: 2 ** 20,
    description: 'what live logs may take in NATS; beyond it the oldest go, and are read once they are archived',
  }),
  RGRID_LOG_STREAM_HOURS: Type.Number({ default: 48, minimum: 0.1, maximum: 8760, description: 'how long live logs stay in NATS that nobody archives' }),
  RGRID_AUDIT_DAYS: Type.Integer({ default: 400, minimum: 30, maximum: 36_500, description: 'how long the audit log tells what was done' }),
  ...WebhookEnv,
  RGRID_WEBHOOK_DISABLE_DAYS: Type.Number({
    default: 5,
    minimum: 0.01,
    maximum: 365,
    description: 'a webhook endpoint that took nothing for so many days is switched off',
  }),
  ...MachinesEnv,
  ...BootEnv,
  ...LocalEnv,
  ...HetznerEnv,
  ...MetricsEnv,
  ...TracingEnv,
  RGRID_LOG_LEVEL: Type.String({ default: 'info', description: 'trace, debug, info, warn, error' }),
})
/** See the schema of the same name. */
export type SchedulerEnv = Static<typeof SchedulerEnv>
