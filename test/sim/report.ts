import { formatMicrons } from '#core/money.ts'
import { OFFER } from './setting.ts'
import type { Outcome } from './world.ts'

/** How long 95 of 100 jobs wait at most, and how much more may be paid than any schedule has to. */
export const GOAL = { waitSeconds: 90, ratio: 1.15 }

/** What is left of the wait for a job on a machine that is ordered when it arrives: the quickest order and boot take 46 s. */
export const BLIND_WAIT_SECONDS = GOAL.waitSeconds - 46

/** Machine-hours that are paid at least. */
export interface Bounds {
  /** By every schedule that holds the goal, one that knows the future included. */
  any: number
  /** By one whose jobs all start as early as they would have to if no machine were there before them. */
  blind: number
}

const WIDTHS = [-12, 8, 8, 10, 6, 6, 6, 10, 9, 8, 8]
const row = (cells: readonly string[]) =>
  `  ${cells.map((cell, i) => ((WIDTHS[i] ?? 0) < 0 ? cell.padEnd(-(WIDTHS[i] ?? 0)) : cell.padStart(WIDTHS[i] ?? 0))).join('')}`

/** The head of the table. */
export const HEAD = row(['', 'jobs', 'hours', 'cost', 'p50', 'p95', 'p99', 'idle min', 'bought', '/bound', '/blind'])

/** What came of a planner. */
export function rowOf(name: string, outcome: Outcome, bounds: Bounds): string {
  const waits = [0.5, 0.95, 0.99].map((part) => `${quantile(outcome.waits, part).toFixed(0)} s`)
  const { paidHours, microns, idleMinutes, machines } = outcome
  const ratios = [paidHours / bounds.any, paidHours / bounds.blind].map((ratio) => ratio.toFixed(2))
  return row([name, `${outcome.waits.length}`, `${paidHours}`, formatMicrons(microns), ...waits, idleMinutes.toFixed(0), `${machines}`, ...ratios])
}

/** What has to be paid. */
export function rowOfBound(bounds: Bounds): string {
  return row(['bound', '', `${bounds.any}`, formatMicrons(bounds.any * OFFER.hourMicrons)])
}

/** Whether the goal is reached, in a sentence. */
export function describe(outcome: Outcome, bounds: Bounds): string {
  const wait = quantile(outcome.waits, 0.95)
  const [ratio, blind] = [outcome.paidHours / bounds.any, outcome.paidHours / bounds.blind]
  const late = wait > GOAL.waitSeconds ? `NOT reached: 95 of 100 jobs wait up to ${wait.toFixed(0)} s. ` : ''
  if (ratio <= GOAL.ratio) return `${late || 'Reached: '}${ratio.toFixed(2)} of the bound, p95 ${wait.toFixed(0)} s.`
  const why = blind <= GOAL.ratio ? `what is missing is foresight: ${blind.toFixed(2)} of what machines bought on arrival need` : 'docs/AUTOSCALER.md says why'
  return `${late}NOT within ${GOAL.ratio}: ${ratio.toFixed(2)} of the bound, p95 ${wait.toFixed(0)} s; ${why}.`
}

/** The number that so large a part of all does not exceed. */
export function quantile(numbers: readonly number[], part: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0
}
