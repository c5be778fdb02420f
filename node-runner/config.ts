import { availableParallelism, hostname, totalmem } from 'node:os'
import { type Static, Type } from '@sinclair/typebox'
import { BusCaEnv } from '#bus/tls.ts'
import { parseAllowList } from '#core/allow-list.ts'
import { parseBytes } from '#core/job/quantity.ts'
import { ConfigError, MetricsEnv } from '#core/service/config.ts'
import { TracingEnv } from '#core/service/trace.ts'

const seconds = (defaultValue: number, description: string, minimum = 0.1) => Type.Number({ default: defaultValue, minimum, maximum: 86_400, description })

/** What the runner reads from its environment (docs/CONFIGURATION.md). */
export const RunnerEnv = Type.Object({
  RGRID_API_URL: Type.String({ description: 'address of the gateway' }),
  RGRID_ENROL_TOKEN: Type.Optional(Type.String({ description: 'one-time token; needed only while RGRID_NODE_DIR holds no identity' })),
  RGRID_NATS_CA: Type.Optional(
    Type.String({ ...BusCaEnv.RGRID_NATS_CA, description: `${BusCaEnv.RGRID_NATS_CA.description}; without it the one that the gateway names is taken` }),
  ),
  RGRID_NODE_DIR: Type.String({ default: '/var/lib/rgrid', description: 'identity, work folders and unsent reports; on a disk with room for the jobs’ files' }),
  RGRID_NODE_NAME: Type.Optional(
    Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$', description: 'a name for people; the host’s when absent' }),
  ),
  RGRID_NODE_POOL: Type.String({ default: 'default', pattern: '^[a-z0-9-]{1,32}$', description: 'the pool whose wake-ups it hears' }),
  RGRID_NODE_SLOTS: Type.Optional(Type.Integer({ minimum: 1, maximum: 1024, description: 'jobs of one CPU at once; the number of CPUs when absent' })),
  RGRID_NODE_MEMORY: Type.Optional(Type.String({ description: 'memory for jobs, such as 3Gi; 80 % of the machine’s when absent' })),
  RGRID_EGRESS_ALLOW: Type.String({
    default: '',
    description:
      'addresses that jobs with network, and input URLs, may reach although they are private: ip, ip/prefix or either with :port, separated by commas',
  }),
  RGRID_PIP_INDEX_URL: Type.Optional(Type.String({ description: 'package index for requirements, instead of pip’s own' })),
  RGRID_MAX_LOG_BYTES: Type.Integer({
    default: 64 * 2 ** 20,
    minimum: 1024,
    description: 'output of one attempt that is kept; more is dropped with a notice, the job goes on',
  }),
  RGRID_CLAIM_POLL_SECONDS: seconds(30, 'the slow fallback that asks for work without a wake-up'),
  RGRID_HEARTBEAT_SECONDS: seconds(2, 'how often the node says that it is alive'),
  RGRID_RENEW_SECONDS: seconds(5, 'how often it asks about its leases'),
  RGRID_PREPARE_SECONDS: seconds(600, 'the longest that inputs, image and requirements of a job may take'),
  RGRID_UPLOAD_SECONDS: seconds(600, 'the longest that the outputs of a job may take to upload, an object store that is away included'),
  RGRID_IMAGE_DISK_PERCENT: Type.Number({
    default: 85,
    minimum: 1,
    maximum: 100,
    description: 'when the disk of the images is fuller, images that the runner pulled go, the longest unused first',
  }),
  RGRID_MIN_FREE_DISK: Type.String({ default: '1Gi', description: 'a node whose disk has less free than this claims nothing' }),
  RGRID_DRAIN_SECONDS: seconds(60, 'how long running jobs may go on after the runner was told to stop', 0),
  RGRID_DEADMAN_MINUTES: Type.Number({
    default: 0,
    minimum: 0,
    maximum: 1440,
    description: 'a machine whose scheduler has not answered for so long, and that runs no job, switches itself off; 0: never',
  }),
  RGRID_DEADMAN_COMMAND: Type.String({
    default: 'systemctl poweroff',
    description: 'switches the machine off, as a shell command; the runner then ends with status 86, by which a supervisor may do it instead',
  }),
  ...MetricsEnv,
  ...TracingEnv,
  RGRID_LOG_LEVEL: Type.String({ default: 'info', description: 'trace, debug, info, warn, error' }),
})
/** See the schema of the same name. */
export type RunnerEnv = Static<typeof RunnerEnv>

/** What the machine offers. */
export interface Capacity {
  slots: number
  memoryBytes: number
}

/** Capacity and name out of the environment, with the machine's own as defaults. Throws a ConfigError. */
export function nodeFacts(env: RunnerEnv): Capacity & { name: string; minFreeBytes: number } {
  const memoryBytes = env.RGRID_NODE_MEMORY === undefined ? Math.floor(totalmem() * 0.8) : parseBytes(env.RGRID_NODE_MEMORY)
  if (memoryBytes === undefined) throw new ConfigError([`RGRID_NODE_MEMORY is not an amount such as 3Gi`])
  const minFreeBytes = parseBytes(env.RGRID_MIN_FREE_DISK)
  if (minFreeBytes === undefined) throw new ConfigError([`RGRID_MIN_FREE_DISK is not an amount such as 1Gi`])
  parseAllowList('RGRID_EGRESS_ALLOW', env.RGRID_EGRESS_ALLOW)
  const name =
    env.RGRID_NODE_NAME ??
    (hostname()
      .replaceAll(/[^A-Za-z0-9.-]/g, '-')
      .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
      .slice(0, 63) ||
      'node')
  return { name, slots: env.RGRID_NODE_SLOTS ?? availableParallelism(), memoryBytes, minFreeBytes }
}
