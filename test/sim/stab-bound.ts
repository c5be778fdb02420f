import type { Arrival } from './trace.ts'

/** How late a job may start, in seconds, and how many slots a machine has. */
export interface BoundOptions {
  waitSeconds: number
  slots: number
}

/** What is paid for is whole hours. */
export const HOUR = 3600

/** At least `hours` of those that are paid for begin after `from` and not after `to`. */
interface Need {
  from: number
  to: number
  hours: number
}

/** Jobs are looked at together that arrive within so many seconds, and those that take at least so many. */
const SPREADS = [0, 5, 15, 30, 60, 120, 300]
const LENGTHS = [0, 5, 15, 31, 46, 61, 91, 121, 181]

/**
 * The fewest hours that meet all needs of the kind "at least n hours touch this stretch of time" that are known of schedules
 * that start each job in time (docs/AUTOSCALER.md proves them). Exact for these needs: from left to right, hours are begun only
 * for an unmet need, and each as late as that allows.
 */
export function stabBound(arrivals: readonly Arrival[], options: BoundOptions): number {
  const needs = [...overlaps(arrivals, options), ...crowds(arrivals, options)].sort((a, b) => a.to - b.to)
  const begun: number[] = []
  for (const { from, to, hours } of needs) {
    for (let have = begun.length - firstAfter(begun, from); have < hours; have++) begun.push(to)
  }
  return begun.length
}

/** A job that is longer than it may wait surely runs from the last moment of its start to the first of its end. */
function overlaps(arrivals: readonly Arrival[], { waitSeconds, slots }: BoundOptions): Need[] {
  const changes = arrivals
    .filter(({ durationSeconds }) => durationSeconds > waitSeconds)
    .flatMap((job) => [
      { at: job.atSeconds + waitSeconds, slots: job.slots },
      { at: job.atSeconds + job.durationSeconds, slots: -job.slots },
    ])
    .sort((a, b) => a.at - b.at || a.slots - b.slots)
  let surely = 0
  return changes.flatMap((change) => {
    surely += change.slots
    return change.slots > 0 ? [{ from: change.at - HOUR, to: change.at, hours: Math.ceil(surely / slots) }] : []
  })
}

/**
 * Jobs that arrive close together start between the first arrival and the last one's latest start. A slot can start no more of
 * them in that time than follow one another, the shortest's length apart.
 */
function crowds(arrivals: readonly Arrival[], { waitSeconds, slots }: BoundOptions): Need[] {
  const needs = new Map<number, Need>()
  for (const length of LENGTHS) {
    const long = arrivals.filter(({ durationSeconds }) => durationSeconds >= length)
    const at = long.map(({ atSeconds }) => atSeconds)
    const sums = [0]
    for (const job of long) sums.push((sums.at(-1) ?? 0) + job.slots)
    for (const spread of length === 0 ? [0] : SPREADS) {
      const most = length === 0 ? Number.POSITIVE_INFINITY : Math.floor((spread + waitSeconds) / length) + 1
      for (const [i, first] of at.entries()) {
        const wanted = (sums[firstAfter(at, first + spread)] ?? 0) - (sums[i] ?? 0)
        const need = { from: first - HOUR, to: first + spread + waitSeconds, hours: Math.max(1, Math.ceil(wanted / (slots * most))) }
        const key = first * 1e4 + spread
        if ((need.hours > 1 || spread === 0) && need.hours > (needs.get(key)?.hours ?? 0)) needs.set(key, need)
      }
    }
  }
  return [...needs.values()]
}

/** The index of the first number that is more than `limit`. */
function firstAfter(sorted: readonly number[], limit: number): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((sorted[middle] as number) > limit) high = middle
    else low = middle + 1
  }
  return low
}
