import { type BoundOptions, HOUR } from './stab-bound.ts'
import type { Arrival } from './trace.ts'

/** Prices are constant within so many seconds; an hour is a whole number of them. */
const CELL = 60
const CELLS = HOUR / CELL
const ROUNDS = 60

/**
 * A bound by prices: give each slot-second a price such that no hour of a slot costs more than its share of a machine-hour.
 * Then no schedule pays less than all jobs would at their cheapest starts in time (docs/AUTOSCALER.md has the proof). Any prices
 * prove a bound. Good ones are found by a game: in turn the prices answer where the jobs have gone so far, and the jobs answer
 * the mean of all prices so far; both means come nearer to the best ones.
 */
export function priceBound(arrivals: readonly Arrival[], options: BoundOptions, rounds = ROUNDS): number {
  const first = arrivals[0]?.atSeconds ?? 0
  const end = arrivals.reduce((latest, job) => Math.max(latest, job.atSeconds + options.waitSeconds + job.durationSeconds), first)
  const cells = Math.ceil((end - first) / CELL) + 2
  // In machine-hours for a slot-second. The same price at all times is the bound by the work alone.
  const prices = new Float64Array(cells).fill(1 / (options.slots * HOUR))
  const loads = new Float64Array(cells)
  let best = 0
  for (let round = 0; round < rounds; round++) {
    const load = new Float64Array(cells)
    best = Math.max(best, payments(arrivals, first, prices, options.waitSeconds, load))
    mix(loads, load, 2 / (round + 2))
    mix(prices, dearestCells(loads, 1 / (options.slots * CELL)), 2 / (round + 3))
  }
  // What is paid is concave in the prices: between these and the same price at all times there may be better ones.
  for (const part of [0.2, 0.4, 0.6, 0.8]) {
    const between = prices.map((price) => part * price + (1 - part) / (options.slots * HOUR))
    best = Math.max(best, payments(arrivals, first, between, options.waitSeconds, new Float64Array(cells)))
  }
  return best
}

function mix(mean: Float64Array, latest: Float64Array, part: number): void {
  for (let i = 0; i < mean.length; i++) mean[i] = (1 - part) * (mean[i] as number) + part * (latest[i] as number)
}

/** The prices that take most from such a load: all of the hour's price in one cell, and such cells an hour apart at least. */
function dearestCells(load: Float64Array, price: number): Float64Array {
  const most = new Float64Array(load.length + 1)
  const before = (cell: number) => (load[cell] as number) + (most[Math.max(0, cell + 1 - CELLS)] as number)
  for (let cell = 0; cell < load.length; cell++) most[cell + 1] = Math.max(most[cell] as number, before(cell))
  const prices = new Float64Array(load.length)
  for (let cell = load.length - 1; cell >= 0; ) {
    if ((most[cell + 1] as number) === (most[cell] as number)) cell--
    else {
      prices[cell] = price
      cell -= CELLS
    }
  }
  return prices
}

/** What all jobs pay, each at its cheapest start in time; adds the slot-seconds that they take there to `load`. */
function payments(arrivals: readonly Arrival[], first: number, prices: Float64Array, waitSeconds: number, load: Float64Array): number {
  const paidTo = new Float64Array(prices.length + 1)
  for (let cell = 0; cell < prices.length; cell++) paidTo[cell + 1] = (paidTo[cell] as number) + (prices[cell] as number) * CELL
  const paid = (seconds: number) => {
    const cell = Math.floor(seconds / CELL)
    return (paidTo[cell] as number) + (seconds - cell * CELL) * (prices[cell] as number)
  }
  let total = 0
  for (const { atSeconds, durationSeconds, slots } of arrivals) {
    const [from, to] = [atSeconds - first, atSeconds - first + waitSeconds]
    let [cheapest, at] = [Number.POSITIVE_INFINITY, from]
    const look = (start: number) => {
      const pays = paid(start + durationSeconds) - paid(start)
      if (pays < cheapest - 1e-15) [cheapest, at] = [pays, start]
    }
    // What a start costs is linear between the starts at which the job begins or ends with a cell.
    look(from)
    look(to)
    for (let border = Math.ceil(from / CELL) * CELL; border < to; border += CELL) look(border)
    for (let border = Math.ceil((from + durationSeconds) / CELL) * CELL; border < to + durationSeconds; border += CELL) look(border - durationSeconds)
    total += cheapest * slots
    for (let cell = Math.floor(at / CELL); cell * CELL < at + durationSeconds; cell++) {
      load[cell] = (load[cell] as number) + slots * (Math.min((cell + 1) * CELL, at + durationSeconds) - Math.max(cell * CELL, at))
    }
  }
  return total
}
