import { type BootConfig, bootSettings } from './boot-config.ts'
import type { Cloud } from './cloud.ts'
import { createLocalCloud } from './local.ts'
import { type LocalVariables, localCloudConfig } from './local-config.ts'
import { type BootFacts, userData } from './user-data.ts'

/** What a machine of an order boots with. */
export type MakeUserData = (order: Pick<BootFacts, 'name' | 'pool' | 'token'>, kind: Pick<BootFacts, 'slots' | 'memoryBytes'>) => string

/** Makes the user data of machines, whoever provides them. Throws when it is not known where they are to enrol. */
export function bootWith(env: BootConfig): MakeUserData {
  const settings = bootSettings(env)
  return ({ name, pool, token }, { slots, memoryBytes }) => userData({ ...settings, name, pool, token, slots, memoryBytes })
}

/** The local provider with what its machines boot with. Throws, naming the variable, when something is missing. */
export function openLocalCloud(env: BootConfig & LocalVariables): { cloud: Cloud; userData: MakeUserData } {
  return { cloud: createLocalCloud(localCloudConfig(env)), userData: bootWith(env) }
}
