import { randomUUID } from 'node:crypto'
import type { Bus } from '#bus/bus.ts'
import { RequestsTaken } from '#bus/messages/gateway.ts'
import { REQUESTS_TAKEN } from '#bus/subjects.ts'
import { after, monotonicMs } from '#core/service/time.ts'
import { createBuckets, type Rate } from './rate.ts'

/** Limits of requests per second that all gateways hold together. */
export interface SharedRates {
  /** Counts a request of an account or a project, unless that is beyond its limit. */
  take(id: string, perSecond: number): Rate
  stop(): void
}

/** How long what was let through is gathered before the others are told. */
const TELL_AFTER_MS = 100
/** So many accounts and projects stand in one message at most. */
const MOST = 1000

/**
 * Each gateway has a bucket of the whole limit and tells the others what it took from it, which they take off theirs
 * (docs/adr/0027-gateways-tell-what-they-let-through.md). While NATS is away each holds the limit by itself.
 */
export function shareRates(bus: Bus): SharedRates {
  const gateway = randomUUID()
  const buckets = createBuckets()
  let taken = new Map<string, RequestsTaken['taken'][number]>()
  let stopTimer: (() => void) | undefined

  const heard = bus.subscribe(REQUESTS_TAKEN, RequestsTaken, (message) => {
    if (message.gateway === gateway) return
    for (const { id, perSecond, requests } of message.taken) buckets.owe(id, perSecond, requests, monotonicMs())
  })

  function tell(): void {
    stopTimer = undefined
    const all = [...taken.values()]
    taken = new Map()
    // Told late it would be taken off what comes then.
    if (!bus.isConnected()) return
    for (let from = 0; from < all.length; from += MOST) bus.publish(REQUESTS_TAKEN, RequestsTaken, { gateway, taken: all.slice(from, from + MOST) })
  }

  return {
    take(id, perSecond) {
      const rate = buckets.take(id, perSecond, monotonicMs())
      if (rate.allowed) {
        taken.set(id, { id, perSecond, requests: (taken.get(id)?.requests ?? 0) + 1 })
        stopTimer ??= after(TELL_AFTER_MS, tell)
      }
      return rate
    },
    stop() {
      stopTimer?.()
      heard.unsubscribe()
    },
  }
}
