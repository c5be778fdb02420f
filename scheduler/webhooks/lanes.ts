import { monotonicMs } from '#core/service/time.ts'
import type { DeliveryRoom } from '#store/webhook-deliveries.ts'

/** Who may be sent to now, by how each endpoint did in this process. Endpoints that hang must not slow the others. */
export interface Lanes {
  /** What may still be claimed. */
  room(): DeliveryRoom
  /** Notes that a delivery is under way; call the result with how it ended. */
  begin(endpointId: string, slow: boolean): (well: boolean) => void
  inFlight(): number
}

/** The bounds of the lanes. */
export interface LaneLimits {
  /** Deliveries under way at once; at most half of them to endpoints that are failing or slow, one to each of these. */
  slots: number
  /** To one endpoint that has just shown that it is quick; until then it gets one. */
  perEndpoint: number
  /** A delivery that takes longer makes its endpoint slow. */
  slowMs: number
}

/** What is remembered of an endpoint beyond its deliveries under way, and of how many. */
const REMEMBER_MS = 60_000
const REMEMBERED = 1000

interface Known {
  /** When each delivery under way began. */
  began: Set<{ atMs: number; slow: boolean }>
  last: 'quick' | 'slow' | undefined
  lastMs: number
}

/** Makes them; the clock is for tests. */
export function createLanes(limits: LaneLimits, clock: () => number = monotonicMs): Lanes {
  const known = new Map<string, Known>()
  let inFlight = 0
  let slowInFlight = 0

  function isSlow({ began, last }: Known, nowMs: number): boolean {
    return last === 'slow' || [...began].some(({ atMs }) => nowMs - atMs > limits.slowMs)
  }

  function forget(nowMs: number): void {
    // The order of the map is that of the last result.
    for (const [id, { began, lastMs }] of known) {
      if (began.size > 0) continue
      if (nowMs - lastMs < REMEMBER_MS && known.size <= REMEMBERED) return
      known.delete(id)
    }
  }

  return {
    inFlight: () => inFlight,
    room() {
      const nowMs = clock()
      forget(nowMs)
      const slots = limits.slots - inFlight
      const endpoints = [...known].map(([id, endpoint]) => ({
        id,
        limit: endpoint.last === 'quick' ? limits.perEndpoint : 1,
        inFlight: endpoint.began.size,
        slow: isSlow(endpoint, nowMs),
      }))
      return { slots, slowSlots: Math.max(0, Math.min(slots, Math.floor(limits.slots / 2) - slowInFlight)), endpoints }
    },
    begin(endpointId, slow) {
      const endpoint = known.get(endpointId) ?? { began: new Set(), last: undefined, lastMs: clock() }
      known.set(endpointId, endpoint)
      const mine = { atMs: clock(), slow }
      endpoint.began.add(mine)
      inFlight++
      if (slow) slowInFlight++
      return (well) => {
        inFlight--
        if (slow) slowInFlight--
        endpoint.began.delete(mine)
        endpoint.lastMs = clock()
        if (endpoint.lastMs - mine.atMs > limits.slowMs) endpoint.last = 'slow'
        else endpoint.last = well ? 'quick' : undefined
        known.delete(endpointId)
        known.set(endpointId, endpoint)
      }
    },
  }
}
