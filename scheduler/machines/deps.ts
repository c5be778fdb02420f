import type { Log } from '#core/service/log.ts'
import type { MachineKind } from '#store/machines.ts'
import type { DatabasePool } from '#store/pool.ts'
import type { Cloud } from '../cloud/cloud.ts'
import type { Caps } from './caps.ts'
import type { Offers } from './offers.ts'
import type { Servers } from './servers.ts'

/** What happens to machines, for whoever measures it. */
export interface MachineMeters {
  bought(): void
  deleted(): void
  /** A machine enrolled, so many seconds after it was ordered. */
  booted(seconds: number): void
  /** A server, or an address, that belonged to nothing was deleted. */
  swept(kind: 'server' | 'address'): void
}

/** How patient the loops are, in seconds. */
export interface Patience {
  /** Given to a machine to enrol. */
  enrolSeconds: number
  /** Given to a lost node to come back. */
  lostSeconds: number
  /** Given to what looks wrong at the provider to turn out right. */
  graceSeconds: number
  /** A cell that had nothing is left alone for so long. */
  cellSeconds: number
  /** After the account's limit was met nothing is bought for so long. */
  limitSeconds: number
  /** A deletion that the provider did not take is ordered again after so long, and later after more, unless it says when. */
  againSeconds: number
}

/** What is taken for granted where the operator does not say. */
export const PATIENCE = { graceSeconds: 60, cellSeconds: 300, limitSeconds: 60, againSeconds: 10 } as const satisfies Partial<Patience>

/** What the loops about machines stand on. They share rows, and this; none calls another. */
export interface MachineDeps {
  db: DatabasePool
  log: Log
  cloud: Cloud
  servers: Servers
  offers: Offers
  caps: Caps
  patience: Patience
  pool: string
  /** Names the server of a node. */
  nameOf(nodeId: string): string
  /** cloud-init of a node. */
  userData(order: { name: string; pool: string; token: string }, kind: MachineKind): string
  isLeader(): boolean
  meters: MachineMeters
}

/** Names a node's server: the same for the same node, so that an order that is repeated meets the first one. */
export function serverName(installation: string, nodeId: string): string {
  return `rgrid-${installation}-${nodeId.slice(-12)}`
}
