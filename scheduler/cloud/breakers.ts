import { nowMs } from '#core/service/time.ts'
import type { Cell } from './cloud.ts'

/** Why a cell is not tried at the moment. */
export interface Fault {
  code: string
  message: string
  retryAtMs: number
}

/** Circuit breakers, one a cell: what failed is left alone for longer each time, then tried with one order. */
export interface Breakers {
  /** Why the cell is not to be tried now; null when it may be. */
  fault(cell: Cell): Fault | null
  /** The same, and when it may be tried after a failure, the one order that tries it is this one until it ends. */
  enter(cell: Cell): Fault | null
  /** An order that was taken at that moment came to be. One from before a failure says nothing about what came after. */
  succeeded(cell: Cell, takenAtMs: number): void
  /** The cell had nothing. `shortest` is how long it is left alone after the first failure in a row. */
  failed(cell: Cell, code: string, message: string, shortestMs?: number): void
  /** The order ended without a word about the cell. */
  left(cell: Cell): void
}

interface State extends Fault {
  failedAtMs: number
  failures: number
  probing: boolean
}

/** How long a cell is left alone after its first failure; doubled with each further one. */
export const FIRST_PAUSE_MS = 60_000
const LONGEST_PAUSE_MS = 30 * 60_000

/** Makes them, all closed; the clock is for tests. */
export function createBreakers(now: () => number = nowMs): Breakers {
  const states = new Map<string, State>()
  const keyOf = (cell: Cell) => `${cell.serverType}@${cell.location}`

  function fault(cell: Cell): Fault | null {
    const state = states.get(keyOf(cell))
    if (!state) return null
    const { code, message, retryAtMs } = state
    return now() < retryAtMs || state.probing ? { code, message, retryAtMs } : null
  }

  return {
    fault,
    enter(cell) {
      const found = fault(cell)
      const state = states.get(keyOf(cell))
      if (!found && state) state.probing = true
      return found
    },
    succeeded(cell, takenAtMs) {
      const state = states.get(keyOf(cell))
      if (state && takenAtMs > state.failedAtMs) states.delete(keyOf(cell))
    },
    failed(cell, code, message, shortestMs = FIRST_PAUSE_MS) {
      const before = states.get(keyOf(cell))
      // Orders that were sent together fail together, and say one thing.
      if (before && !before.probing && now() < before.retryAtMs) return
      const failures = (before?.failures ?? 0) + 1
      const pauseMs = Math.max(shortestMs, Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1)))
      states.set(keyOf(cell), { code, message, failures, probing: false, failedAtMs: now(), retryAtMs: now() + pauseMs })
    },
    left(cell) {
      const state = states.get(keyOf(cell))
      if (state) state.probing = false
    },
  }
}
