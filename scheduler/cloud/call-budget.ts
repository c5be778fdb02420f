import { nowMs, sleep } from '#core/service/time.ts'
import { CloudError } from './cloud.ts'

/** What a call is for, the most urgent first: what stops a bill must never wait behind what only looks. */
export const URGENCIES = ['delete', 'create', 'read'] as const
/** See URGENCIES. */
export type Urgency = (typeof URGENCIES)[number]

/** What an answer says of the provider's limit. `resetAtMs`: when the whole of it would be there again. */
export interface RateLimit {
  limit: number
  remaining: number
  resetAtMs: number
}

/** The calls that may be made, shared by all callers of a project. */
export interface CallBudget {
  /**
   * Resolves when a call may be made; the more urgent ones go first, and the last calls are kept for them. Rejects with
   * `rate_limited` when it would wait for too long. Each that resolved must end with `answered`.
   */
  take(urgency: Urgency, signal: AbortSignal): Promise<void>
  /** Is told that a call ended, and what its answer said of the limit; null when nothing. */
  answered(limit: RateLimit | null): void
  /** Is told that a call was turned away as one too many. Returns when the next may be made. */
  exceeded(): number
  /** How many calls could be made at once. */
  remaining(): number
  /** How many were made. */
  calls(): number
}

/** How a budget behaves; the clock is for tests. */
export interface CallBudgetOptions {
  /** Until an answer says otherwise. */
  limitPerHour: number
  /** The longest that a call waits for its turn. */
  patienceMs: number
  now?: () => number
  wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

const HOUR_MS = 3_600_000
/** The share of the limit that is kept for what is more urgent. */
const KEPT: Readonly<Record<Urgency, number>> = { delete: 0, create: 0.02, read: 0.1 }
const MIN_WAIT_MS = 50
const MAX_PAUSE_MS = 60_000

interface Turn {
  rank: number
  order: number
}

/**
 * A token bucket that is as full as the last answer said, and fills as fast as it said. Hetzner's refills gradually (3,600 an hour
 * are one a second) and its `RateLimit-Reset` is when it would be full (https://docs.hetzner.cloud/reference/cloud#description/rate-limiting),
 * so after a 429 calls go on one by one as tokens come, instead of all at once at a moment an hour away.
 */
export function createCallBudget(options: CallBudgetOptions): CallBudget {
  const now = options.now ?? nowMs
  const wait = options.wait ?? sleep
  let limit = options.limitPerHour
  let perMs = limit / HOUR_MS
  let tokens = limit
  let filledAtMs = now()
  let pausedUntilMs = 0
  let refusals = 0
  let underWay = 0
  let made = 0
  let order = 0
  const turns: Turn[] = []

  function fill(): void {
    const atMs = now()
    tokens = Math.min(limit, tokens + Math.max(0, atMs - filledAtMs) * perMs)
    filledAtMs = atMs
  }

  /** How long until the turn may go, if nothing more urgent comes; 0: now. */
  function waitMs(turn: Turn, urgency: Urgency): number {
    fill()
    const missing = limit * KEPT[urgency] + turns.indexOf(turn) + 1 - tokens
    const pauseMs = pausedUntilMs - filledAtMs
    return Math.max(0, pauseMs, missing > 0 ? missing / perMs : 0)
  }

  return {
    async take(urgency, signal) {
      const turn = { rank: URGENCIES.indexOf(urgency), order: order++ }
      turns.push(turn)
      turns.sort((a, b) => a.rank - b.rank || a.order - b.order)
      try {
        for (;;) {
          signal.throwIfAborted()
          const ms = waitMs(turn, urgency)
          if (ms === 0) break
          if (ms > options.patienceMs) {
            throw new CloudError('rate_limited', 'call_budget', 'the calls of this hour are used up', { retryAtMs: now() + Math.ceil(ms) })
          }
          await wait(Math.max(MIN_WAIT_MS, Math.ceil(ms)), signal)
        }
        tokens--
        underWay++
        made++
      } finally {
        turns.splice(turns.indexOf(turn), 1)
      }
    },
    answered(said) {
      underWay--
      if (!said) return
      fill()
      limit = Math.max(1, said.limit)
      // What cannot be is not believed, or no call would be made that could put it right: it is never longer than an hour
      // until all are back, and nothing is less than none.
      const remaining = Math.max(0, said.remaining)
      const missing = said.limit - remaining
      const untilFullMs = Math.min(HOUR_MS, said.resetAtMs - filledAtMs)
      // Never faster than evenly over the hour: a header rounded to a second must not look like a flood of tokens.
      perMs = missing > 0 && untilFullMs > 0 ? Math.min(limit / HOUR_MS, missing / untilFullMs) : limit / HOUR_MS
      // Those under way are not in it, perhaps.
      tokens = Math.min(limit, remaining - underWay)
      if (said.remaining > 0) refusals = 0
    },
    exceeded() {
      fill()
      tokens = Math.min(tokens, 0)
      // Somebody else uses the project too: each refusal in a row doubles the pause.
      const pauseMs = Math.min(MAX_PAUSE_MS, 2 ** refusals * Math.max(1000, 1 / perMs))
      refusals++
      pausedUntilMs = Math.max(pausedUntilMs, filledAtMs + pauseMs)
      return pausedUntilMs
    },
    remaining() {
      fill()
      return Math.max(0, Math.floor(tokens))
    },
    calls: () => made,
  }
}
