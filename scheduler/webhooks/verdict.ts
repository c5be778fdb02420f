import type { DeliveryNext } from '#store/webhook-results.ts'
import { retryPauseMs } from './schedule.ts'
import type { Answer } from './send.ts'

/** What follows from an answer for the delivery and its endpoint. */
export interface Verdict {
  next: DeliveryNext
  /** Whether the endpoint took it, refused it, or wants no more of them for ever. */
  endpoint: 'well' | 'failing' | 'gone'
}

/** Decides it. `step` is how many tries of the schedule were before this one; `random` is from 0 to 1. */
export function judge(answer: Answer, step: number, random: number): Verdict {
  const { status } = answer
  if (status !== null && status >= 200 && status < 300) return { next: { to: 'delivered' }, endpoint: 'well' }
  if (status === 410) return { next: { to: 'failed' }, endpoint: 'gone' }
  const inMs = retryPauseMs(step + 1, status === 429 || status === 503 ? answer.retryAfterMs : null, random)
  return { next: inMs === undefined ? { to: 'failed' } : { to: 'pending', inMs }, endpoint: 'failing' }
}
