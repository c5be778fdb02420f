import { Type } from '@sinclair/typebox'
import type { BootSettings } from './user-data.ts'

/** What the scheduler reads about the machines that it boots, whoever provides them; part of its schema. */
export const BootEnv = {
  RGRID_NODE_API_URL: Type.Optional(
    Type.String({ pattern: '^https?://', description: 'address of the gateway as bought machines reach it; needed to buy any' }),
  ),
  RGRID_NODE_RUNNER_IMAGE: Type.String({
    default: 'rgrid/node-runner:0.1.0',
    description: 'image of the node-runner on bought machines; pulled only when it names its registry, such as ghcr.io or docker.io',
  }),
  RGRID_NODE_RUNNER_ARCHIVE: Type.Optional(
    Type.String({
      pattern: '^https://',
      description: 'address of what docker save made of an image that names no registry; without it that image must be on the machines already',
    }),
  ),
  RGRID_NODE_GVISOR: Type.Boolean({
    default: false,
    description: 'jobs on bought machines run under gVisor, which is installed at boot unless the image has it; without it such a machine takes no work',
  }),
  RGRID_NODE_DEADMAN_MINUTES: Type.Number({
    default: 30,
    minimum: 0,
    maximum: 1440,
    description: 'a bought machine out of touch with the scheduler for so long switches itself off; 0: never',
  }),
}

/** The variables of BootEnv, read. */
export interface BootConfig {
  RGRID_NODE_API_URL?: string | undefined
  RGRID_NODE_RUNNER_IMAGE: string
  RGRID_NODE_RUNNER_ARCHIVE?: string | undefined
  RGRID_NODE_GVISOR: boolean
  RGRID_NODE_DEADMAN_MINUTES: number
}

/** The settings that all machines have in common. Throws when there is no address that they could enrol at. */
export function bootSettings(env: BootConfig): BootSettings {
  if (env.RGRID_NODE_API_URL === undefined) throw new Error('RGRID_NODE_API_URL is not set: bought machines would not know where to enrol')
  return {
    apiUrl: env.RGRID_NODE_API_URL,
    runnerImage: env.RGRID_NODE_RUNNER_IMAGE,
    runnerArchiveUrl: env.RGRID_NODE_RUNNER_ARCHIVE ?? null,
    gvisor: env.RGRID_NODE_GVISOR,
    deadmanMinutes: env.RGRID_NODE_DEADMAN_MINUTES,
  }
}
