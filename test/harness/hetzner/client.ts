import { Type } from '@sinclair/typebox'
import { readConfig } from '#core/service/config.ts'
import { createLog } from '#core/service/log.ts'
import { CloudError, type Order } from '../../../scheduler/cloud/cloud.ts'
import { createHetzner, type Hetzner } from '../../../scheduler/cloud/hetzner.ts'
import { HetznerEnv, hetznerConfig } from '../../../scheduler/cloud/hetzner-config.ts'
import { createManualClock, type ManualClock } from '../clock.ts'
import { type HetznerStandIn, type StandInOptions, startHetzner } from './stand-in.ts'

/** The client of a test, and what it speaks to, by one clock that the test moves. */
export interface HetznerPair {
  standIn: HetznerStandIn
  cloud: Hetzner
  clock: ManualClock
  signal: AbortSignal
  /** What the client logged. */
  logged: string[]
  order(change?: Partial<Order>): Order
  /** Another client of the same project, as after a restart. */
  again(env?: Record<string, string>): Hetzner
  [Symbol.asyncDispose](): Promise<void>
}

/** What the environment says, read as the scheduler reads it. */
export function readHetznerEnv(env: Record<string, string>) {
  return hetznerConfig(readConfig(Type.Object(HetznerEnv), env))
}

/** Starts both. A wait for the budget moves the clock. */
export async function openHetzner(env: Record<string, string> = {}, options: StandInOptions = {}): Promise<HetznerPair> {
  const clock = createManualClock()
  const standIn = await startHetzner({ clock, ...options })
  const logged: string[] = []
  const log = createLog('test', 'debug', { write: (line) => void logged.push(line) })
  const { signal } = new AbortController()
  const again = (more: Record<string, string> = {}) => {
    const config = readHetznerEnv({ RGRID_HCLOUD_URL: standIn.url, RGRID_HCLOUD_TOKEN: standIn.token, RGRID_HCLOUD_SECONDS: '60', ...env, ...more })
    return createHetzner(config, { installation: 'test', log, now: clock.now, wait: (ms) => clock.advance(ms) })
  }
  let count = 0
  return {
    standIn,
    clock,
    logged,
    cloud: again(),
    again,
    signal,
    order(change = {}) {
      const nodeId = `node_${String(++count).padStart(12, '0')}`
      return { nodeId, name: `rgrid-test-${nodeId.slice(-12)}`, pool: 'default', serverType: 'cx23', location: 'fsn1', userData: '#cloud-config\n', ...change }
    },
    [Symbol.asyncDispose]: () => standIn.stop(),
  }
}

/** The CloudError that work must end with. */
export async function cloudError(work: Promise<unknown>): Promise<CloudError> {
  try {
    await work
  } catch (error) {
    if (error instanceof CloudError) return error
    throw error
  }
  throw new Error('it went well, which it should not')
}
