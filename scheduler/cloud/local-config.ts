import { Type } from '@sinclair/typebox'
import { parseBytes } from '#core/job/quantity.ts'
import type { LocalCloudConfig } from './local.ts'

/** What the scheduler reads about machines on this very computer; part of its schema. */
export const LocalEnv = {
  RGRID_LOCAL_SOCKET: Type.Optional(
    Type.String({ description: 'path of the Unix socket of the machine host (infra/machines); needed with RGRID_CLOUD=local' }),
  ),
  RGRID_LOCAL_SLOTS: Type.Integer({ default: 2, minimum: 1, maximum: 64, description: 'slots of a local machine' }),
  RGRID_LOCAL_MEMORY: Type.String({ default: '2Gi', description: 'memory for jobs of a local machine' }),
  RGRID_LOCAL_HOUR_MICRONS: Type.Integer({ default: 8000, minimum: 0, description: 'what an hour of a local machine is taken to cost, to rehearse with' }),
  RGRID_LOCAL_BILLING: Type.Unsafe<'second' | 'hour'>({
    ...Type.Union([Type.Literal('second'), Type.Literal('hour')]),
    default: 'second',
    description: 'hour: each started hour counts in full, to rehearse with',
  }),
}

/** The variables of LocalEnv, read. */
export interface LocalVariables {
  RGRID_LOCAL_SOCKET?: string | undefined
  RGRID_LOCAL_SLOTS: number
  RGRID_LOCAL_MEMORY: string
  RGRID_LOCAL_HOUR_MICRONS: number
  RGRID_LOCAL_BILLING: 'second' | 'hour'
}

/** What `createLocalCloud` needs. Throws, naming the variable, when something is missing or no amount. */
export function localCloudConfig(env: LocalVariables): LocalCloudConfig {
  const memoryBytes = parseBytes(env.RGRID_LOCAL_MEMORY)
  if (env.RGRID_LOCAL_SOCKET === undefined) throw new Error('RGRID_LOCAL_SOCKET is not set: it names the socket of the machine host')
  if (memoryBytes === undefined) throw new Error('RGRID_LOCAL_MEMORY is not an amount such as 2Gi')
  return {
    socket: env.RGRID_LOCAL_SOCKET,
    slots: env.RGRID_LOCAL_SLOTS,
    memoryBytes,
    hourMicrons: env.RGRID_LOCAL_HOUR_MICRONS,
    billing: env.RGRID_LOCAL_BILLING,
  }
}
