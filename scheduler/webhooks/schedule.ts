const SECOND_MS = 1000
const MINUTE_MS = 60 * SECOND_MS
const HOUR_MS = 60 * MINUTE_MS

/** The pauses after the first, second, … try of a delivery: about 24 hours in all (10 tries). */
export const RETRY_PAUSES_MS: readonly number[] = [
  5 * SECOND_MS,
  30 * SECOND_MS,
  5 * MINUTE_MS,
  15 * MINUTE_MS,
  HOUR_MS,
  2 * HOUR_MS,
  4 * HOUR_MS,
  7 * HOUR_MS,
  10 * HOUR_MS,
]

/** A receiver may ask for no longer a pause than this. */
const MAX_RETRY_AFTER_MS = 24 * HOUR_MS

/** See `retryPauseMs`; tests have one of their own. */
export type RetryPause = (failedTries: number, retryAfterMs: number | null) => number | undefined

/**
 * How long to wait after so many failed tries (from 1); undefined when there is no further one. Up to 10 % more or less, so that what
 * failed together does not come back together; never earlier than the receiver asked for. `random` is from 0 to 1.
 */
export function retryPauseMs(failedTries: number, retryAfterMs: number | null, random: number = Math.random()): number | undefined {
  const pauseMs = RETRY_PAUSES_MS[failedTries - 1]
  if (pauseMs === undefined) return undefined
  return Math.max(Math.round(pauseMs * (0.9 + random * 0.2)), retryAfterMs ?? 0)
}

/** Reads `Retry-After`, seconds or a date (https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3); null when it says nothing usable. */
export function readRetryAfter(header: string | undefined, nowMs: number): number | null {
  const text = header?.trim() ?? ''
  const waitMs = /^\d{1,12}$/.test(text) ? Number(text) * SECOND_MS : /[a-z]/i.test(text) ? Date.parse(text) - nowMs : Number.NaN
  return Number.isNaN(waitMs) ? null : Math.min(Math.max(0, waitMs), MAX_RETRY_AFTER_MS)
}
