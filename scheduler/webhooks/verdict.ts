import type { DeliveryNext } from '#store/webhook-results.ts'
import type { RetryPause } from './schedule.ts'
import type { Answer } from './send.ts'

/** What follows from an answer for the delivery and its endpoint. */
export interface Verdict {
  next: DeliveryNext
  /** Whether the endpoint took it, refused it, or wants no more of them for ever. */
  endpoint: 'well' | 'failing' | 'gone'
}

/** Decides it. `step` is how many tries of the schedule were before this one. */
export function judge(answer: Answer, step: number, pauseMs: RetryPause): Verdict {
  const { status } = answer
  if (status !== null && status >= 200 && status < 300) return { next: { to: 'delivered' }, endpoint: 'well' }
  if (status === 410) return { next: { to: 'failed' }, endpoint: 'gone' }
  const inMs = pauseMs(step + 1, status === 429 || status === 503 ? answer.retryAfterMs : null)
  return { next: inMs === undefined ? { to: 'failed' } : { to: 'pending', inMs }, endpoint: 'failing' }
}
