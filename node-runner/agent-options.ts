import type { Bus } from '#bus/bus.ts'
import type { RenewReply } from '#bus/messages/node.ts'
import type { Log } from '#core/service/log.ts'
import type { Capacity } from './config.ts'
import type { AttemptRecord } from './record.ts'

/** What the agent needs. */
export interface AgentOptions {
  bus: Bus
  nodeId: string
  pool: string
  capacity: Capacity
  claimPollMs: number
  heartbeatMs: number
  renewMs: number
  drainMs: number
  log: Log
  /** Attempts of an earlier run of this process, to go on with. */
  unfinished: readonly AttemptRecord[]
  /** Runs an attempt, from wherever its record says it is, until its end is acknowledged. */
  run(record: AttemptRecord, stop: AbortSignal): Promise<void>
  /** The attempts whose containers the engine has. */
  listContainers(): Promise<string[]>
  /** Keys of the images that the engine has. */
  listImages(): Promise<string[]>
  /** Is told what a renewal was answered. */
  renewed(reply: RenewReply): void
  /** Whether the disk has room for one more job. */
  hasRoom(): Promise<boolean>
  /** What has not come to its end by now is left for the next start. */
  leave(): void
  /** Is told how each claim ended, and how long it took. */
  claimed(result: 'jobs' | 'none' | 'failed', seconds: number): void
}
