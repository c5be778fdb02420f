import type { Bus } from './bus.ts'
import { Wake } from './messages/node.ts'
import { wakeSubject } from './subjects.ts'

/** More wake-ups at once than this bring nothing: a node that hears one claims for all its slots. */
export const MAX_WAKES = 16

/** The pool that every node is in until there are several. */
export const DEFAULT_POOL = 'default'

/**
 * Wakes nodes: one message for each job, as one of the nodes with a free slot hears each. One that is lost is healed by
 * the scheduler's sweep.
 */
export function wakeNodes(bus: Bus, jobs: number): void {
  for (let i = 0; i < Math.min(jobs, MAX_WAKES); i++) bus.publish(wakeSubject(DEFAULT_POOL), Wake, { jobs })
}
