import type { Log } from '#core/service/log.ts'
import type { SchedulerEnv } from '../config.ts'
import type { MachineDeps } from '../machines/deps.ts'
import { bootSettings } from './boot-config.ts'
import type { Cloud } from './cloud.ts'
import { createHetzner } from './hetzner.ts'
import { hetznerConfig } from './hetzner-config.ts'
import { createLocalCloud } from './local.ts'
import { localCloudConfig } from './local-config.ts'
import type { CloudMeters } from './metered.ts'
import { userData } from './user-data.ts'

/** Who provides machines, and what they boot with. */
export type OpenedCloud = Pick<MachineDeps, 'cloud' | 'userData'>

/** Opens the provider that the environment names, measured; null: nodes are set up by hand. Throws, naming the variable, for what is missing. */
export function openCloud(env: SchedulerEnv, meters: CloudMeters, log: Log): OpenedCloud | null {
  const cloud = createCloud(env, meters, log)
  if (cloud === null) return null
  const settings = bootSettings(env)
  return {
    cloud,
    userData: ({ name, pool, token }, { slots, memoryBytes }) => userData({ ...settings, name, pool, token, slots, memoryBytes }),
  }
}

function createCloud(env: SchedulerEnv, meters: CloudMeters, log: Log): Cloud | null {
  switch (env.RGRID_CLOUD) {
    case 'none':
      return null
    case 'local':
      return meters.measure(createLocalCloud(localCloudConfig(env)))
    case 'hetzner': {
      const hetzner = createHetzner(hetznerConfig(env), { installation: env.RGRID_INSTALLATION, log })
      return meters.measure(hetzner, hetzner.budget)
    }
  }
}
