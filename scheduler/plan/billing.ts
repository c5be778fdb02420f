import type { NodeFacts, Policy } from './plan.ts'

/** Providers that bill by the hour bill each started one whole. */
export const HOUR_MS = 3_600_000

/**
 * A node is let run dry at most so long before it goes, so that no job that it takes at the last moment buys it another hour.
 * While it runs dry its slots are paid for and unused.
 */
const LONGEST_RUN_DRY_MS = 300_000
/** Times what running jobs still take on average: so long, and most of them have ended. */
const RUN_DRY_FACTOR = 1.75

/** Where a node is in the hour that is paid for. Times in milliseconds since 1970. */
export interface PaidHour {
  /** The hour is paid to here; infinite: nothing ends, as it is billed by the second or was not bought yet. */
  untilMs: number
  /** From here on it goes when it has nothing to do. */
  goesAtMs: number
  /** From here on a deletion would come too late: the next hour is as good as paid. */
  lastCallMs: number
  /** Whether it is so near the end that it takes new work only when there is no other way. */
  closing: boolean
}

const NO_END: PaidHour = { untilMs: Number.POSITIVE_INFINITY, goesAtMs: Number.POSITIVE_INFINITY, lastCallMs: Number.POSITIVE_INFINITY, closing: false }

/** The hour that a node is in. `runDryMs`: see `runDryMs`. */
export function paidHour(node: Pick<NodeFacts, 'billedFromMs'>, nowMs: number, policy: Pick<Policy, 'keep' | 'marginSeconds'>, runDryMs: number): PaidHour {
  if (policy.keep === 'idle' || node.billedFromMs === null) return NO_END
  // A clock that is a little behind the provider's is in the first hour, not in one before it.
  const hours = Math.floor(Math.max(0, nowMs - node.billedFromMs) / HOUR_MS) + 1
  const untilMs = node.billedFromMs + hours * HOUR_MS
  const goesAtMs = untilMs - policy.marginSeconds * 1000
  // The margin is two rounds and a deletion; one that begins in its last third may still be under way when the hour ends.
  return { untilMs, goesAtMs, lastCallMs: untilMs - (policy.marginSeconds * 1000) / 3, closing: nowMs >= goesAtMs - runDryMs }
}

/**
 * How long before they go nodes take no more work, when others can do it: about what their jobs take to end. Those that run
 * now are the measure: of jobs met while they run, what is left is what a random one still takes.
 */
export function runDryMs(nodes: readonly NodeFacts[], nowMs: number): number {
  let [sumMs, busy] = [0, 0]
  for (const node of nodes) {
    if (node.busyUntilMs === null) continue
    sumMs += Math.max(0, node.busyUntilMs - nowMs)
    busy++
  }
  return busy === 0 ? 0 : Math.min(LONGEST_RUN_DRY_MS, (sumMs / busy) * RUN_DRY_FACTOR)
}

/** Whether a node has lived its time. */
export function isExpired(node: Pick<NodeFacts, 'billedFromMs'>, nowMs: number, policy: Pick<Policy, 'lifetimeSeconds'>): boolean {
  return node.billedFromMs !== null && nowMs - node.billedFromMs >= policy.lifetimeSeconds * 1000
}
