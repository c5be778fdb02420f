import { priceBound } from './price-bound.ts'
import { type BoundOptions, HOUR, stabBound } from './stab-bound.ts'
import type { Arrival } from './trace.ts'

/**
 * So many machine-hours any schedule pays at least that starts each job in time, whatever it knows of the future. The trace falls
 * into parts where no paid hour can serve jobs on both sides; of each part the better of two bounds counts.
 */
export function lowerBound(arrivals: readonly Arrival[], options: BoundOptions): number {
  let hours = 0
  for (const part of parts(arrivals, options)) {
    const prices = part.length < 2 ? 0 : Math.ceil(priceBound(part, options) - 1e-6)
    hours += Math.max(stabBound(part, options), prices)
  }
  return hours
}

function parts(arrivals: readonly Arrival[], { waitSeconds }: BoundOptions): Arrival[][] {
  const found: Arrival[][] = []
  let overAt = Number.NEGATIVE_INFINITY
  for (const job of arrivals) {
    if (job.atSeconds - overAt >= HOUR) found.push([])
    found.at(-1)?.push(job)
    overAt = Math.max(overAt, job.atSeconds + waitSeconds + job.durationSeconds)
  }
  return found
}
