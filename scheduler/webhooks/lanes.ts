import { monotonicMs } from '#core/service/time.ts'
import type { ClaimedDelivery, DeliveryLane, DeliveryRoom } from '#store/webhook-deliveries.ts'

/** Who may be sent to now, by how each endpoint did in this process. Endpoints that hang must not slow the others. */
export interface Lanes {
  /** What may still be claimed. */
  room(): DeliveryRoom
  /** Notes that a delivery is under way; call the result with how it ended. */
  begin(delivery: Pick<ClaimedDelivery, 'endpointId' | 'accountId' | 'lane'>): (well: boolean) => void
  inFlight(): number
}

/** The bounds of the lanes. */
export interface LaneLimits {
  /**
   * Deliveries under way at once. At most half of them are for endpoints that are failing or slow, and at most three quarters
   * for these and such as nothing is known of yet: however many of a kind there are, there is room for the better ones. Nor
   * does one account get more than three quarters.
   */
  slots: number
  /** To one endpoint that has just shown that it is quick; others get one. */
  perEndpoint: number
  /** A delivery that takes longer makes its endpoint slow. */
  slowMs: number
}

/** What is remembered of an endpoint beyond its deliveries under way, and of how many. */
const REMEMBER_MS = 60_000
const REMEMBERED = 1000

interface Known {
  /** When each delivery under way began. */
  began: Set<{ atMs: number }>
  last: 'quick' | 'slow' | undefined
  lastMs: number
}

/** Makes them; the clock is for tests. */
export function createLanes(limits: LaneLimits, clock: () => number = monotonicMs): Lanes {
  const known = new Map<string, Known>()
  const accounts = new Map<string, number>()
  const threeQuarters = Math.floor(limits.slots * 0.75)
  const inLane: Record<DeliveryLane, number> = { quick: 0, new: 0, slow: 0 }

  function laneOf({ began, last }: Known, nowMs: number): DeliveryLane {
    return [...began].some(({ atMs }) => nowMs - atMs > limits.slowMs) ? 'slow' : (last ?? 'new')
  }

  function count(accountId: string, change: 1 | -1): void {
    const inFlight = (accounts.get(accountId) ?? 0) + change
    if (inFlight > 0) accounts.set(accountId, inFlight)
    else accounts.delete(accountId)
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
    inFlight: () => inLane.quick + inLane.new + inLane.slow,
    room() {
      const nowMs = clock()
      forget(nowMs)
      const slots = Math.max(0, limits.slots - inLane.quick - inLane.new - inLane.slow)
      const unprovenSlots = Math.max(0, threeQuarters - inLane.new - inLane.slow)
      const slowSlots = Math.max(0, Math.floor(limits.slots / 2) - inLane.slow)
      const endpoints = [...known].map(([id, endpoint]) => ({
        id,
        limit: limits.perEndpoint,
        inFlight: endpoint.began.size,
        lane: laneOf(endpoint, nowMs),
      }))
      return { slots, accountSlots: threeQuarters, accounts: [...accounts].map(([id, inFlight]) => ({ id, inFlight })), unprovenSlots, slowSlots, endpoints }
    },
    begin({ endpointId, accountId, lane }) {
      const endpoint = known.get(endpointId) ?? { began: new Set(), last: undefined, lastMs: clock() }
      known.set(endpointId, endpoint)
      const mine = { atMs: clock() }
      endpoint.began.add(mine)
      inLane[lane]++
      count(accountId, 1)
      return (well) => {
        inLane[lane]--
        count(accountId, -1)
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
