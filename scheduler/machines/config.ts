import { Type } from '@sinclair/typebox'
import { ARCHITECTURES } from '#core/node.ts'
import type { Policy } from '../plan/plan.ts'
import type { Caps } from './caps.ts'
import { PATIENCE, type Patience } from './deps.ts'

/** The providers of machines. `none`: nodes are set up by hand, and nothing here does anything. */
export const CLOUDS = ['none', 'local', 'hetzner'] as const

const oneOf = <T extends string>(values: readonly T[]) => Type.Union(values.map((value) => Type.Literal(value)))

/** What the scheduler reads about machines that it buys (docs/MACHINES.md). */
export const MachinesEnv = {
  RGRID_CLOUD: Type.Unsafe<(typeof CLOUDS)[number]>({
    ...oneOf(CLOUDS),
    default: 'none',
    description: 'who provides machines: hetzner; local, which starts nodes as containers; or none, when nodes are set up by hand',
  }),
  RGRID_INSTALLATION: Type.String({
    default: 'default',
    pattern: '^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$',
    description: 'names this installation at the provider: only machines with its label are listed, or deleted; two must not share one',
  }),
  RGRID_MIN_NODES: Type.Integer({ default: 0, minimum: 0, maximum: 1000, description: 'so many bought nodes there always are' }),
  RGRID_MAX_NODES: Type.Integer({
    default: 5,
    minimum: 0,
    maximum: 1000,
    description: 'hard cap: more machines are never bought, those being deleted counted; when it is lowered, what is too much goes at the end of its paid hour',
  }),
  RGRID_MAX_HOUR_MICRONS: Type.Optional(
    Type.Integer({
      minimum: 0,
      description:
        'hard cap: what the hours may cost that are paid at one time, in millionths of the currency; a machine that ended counts until its paid hour is over; without it there is none',
    }),
  ),
  RGRID_WARM_SLOTS: Type.Integer({ default: 0, minimum: 0, maximum: 10_000, description: 'so many slots are kept free for what comes next' }),
  RGRID_SCALE_BURST: Type.Integer({ default: 50, minimum: 1, maximum: 1000, description: 'the most machines that are bought in one round' }),
  RGRID_SCALE_COOLDOWN_SECONDS: Type.Number({
    default: 30,
    minimum: 0,
    maximum: 3600,
    description: 'after buying, so long nothing is bought for jobs that the machines under way will take',
  }),
  RGRID_NODE_KEEP: Type.Unsafe<Policy['keep']>({
    ...oneOf(['hour', 'idle']),
    default: 'hour',
    description: 'hour: an idle node stays until shortly before its next paid hour; idle: it goes after RGRID_NODE_IDLE_SECONDS',
  }),
  RGRID_NODE_IDLE_SECONDS: Type.Number({ default: 300, minimum: 0, maximum: 86_400, description: 'see RGRID_NODE_KEEP' }),
  RGRID_NODE_LIFETIME_SECONDS: Type.Number({
    default: 14_400,
    minimum: 60,
    maximum: 2_592_000,
    description: 'a node takes work for about so long, then it is drained at the end of a paid hour',
  }),
  RGRID_ENROL_SECONDS: Type.Number({ default: 300, minimum: 10, maximum: 3600, description: 'a machine that has not enrolled after so long is replaced' }),
  RGRID_LOST_SECONDS: Type.Number({ default: 300, minimum: 10, maximum: 86_400, description: 'a bought node that is lost for so long is deleted' }),
  RGRID_PLAN_SECONDS: Type.Number({ default: 5, minimum: 0.2, maximum: 300, description: 'how often it is decided what machines there are to be' }),
  RGRID_IMAGE_ARCH: Type.Unsafe<(typeof ARCHITECTURES)[number]>({
    ...oneOf(ARCHITECTURES),
    default: 'amd64',
    description: 'the architecture that the images of jobs are taken to have: machines of another one are not bought for them',
  }),
}
/** See the values of the same name. */
export type MachinesEnv = {
  [Name in keyof typeof MachinesEnv]: Name extends 'RGRID_MAX_HOUR_MICRONS' ? number | undefined : (typeof MachinesEnv)[Name]['static']
}

/** How long a deletion takes until the provider charges nothing more, generously. */
const DELETION_SECONDS = 30

/** What the operator wants, for the planner; and what no plan can pass. */
export function machinePolicy(env: Omit<MachinesEnv, 'RGRID_MAX_HOUR_MICRONS'> & { RGRID_MAX_HOUR_MICRONS?: number | undefined }): {
  policy: Omit<Policy, 'bootSeconds'>
  caps: Caps
  patience: Patience
} {
  const caps = { maxNodes: env.RGRID_MAX_NODES, maxHourMicrons: env.RGRID_MAX_HOUR_MICRONS ?? null }
  return {
    caps,
    patience: { ...PATIENCE, enrolSeconds: env.RGRID_ENROL_SECONDS, lostSeconds: env.RGRID_LOST_SECONDS },
    policy: {
      ...caps,
      minNodes: env.RGRID_MIN_NODES,
      warmSlots: env.RGRID_WARM_SLOTS,
      burst: env.RGRID_SCALE_BURST,
      cooldownSeconds: env.RGRID_SCALE_COOLDOWN_SECONDS,
      keep: env.RGRID_NODE_KEEP,
      idleSeconds: env.RGRID_NODE_IDLE_SECONDS,
      marginSeconds: env.RGRID_PLAN_SECONDS * 2 + DELETION_SECONDS,
      enrolSeconds: env.RGRID_ENROL_SECONDS,
      lifetimeSeconds: env.RGRID_NODE_LIFETIME_SECONDS,
    },
  }
}
