import { monotonicMs } from '#core/service/time.ts'
import { type ClaimedDelivery, type DeliveryLane, type DeliveryRoom, destinationOf } from '#store/webhook-deliveries.ts'

/** Who may be sent to now, by how each endpoint did in this process. Endpoints that hang must not slow the others. */
export interface Lanes {
  /** What may still be claimed. */
  room(): DeliveryRoom
  /** Notes that a delivery is under way; call the result with how it ended. */
  begin(delivery: Pick<ClaimedDelivery, 'endpointId' | 'kind' | 'url' | 'accountId' | 'lane'>): (well: boolean) => void
  inFlight(): number
}

/** The bounds of the lanes. */
export interface LaneLimits {
  /**
   * Deliveries under way at once. At most half of them are for endpoints that are failing or slow, at most three quarters for
   * these and such as nothing is known of, and at most half for one account: there is always room for the better ones.
   */
  slots: number
  /** A delivery that takes longer than `slowMs` frees its slot, as it only waits, and makes its endpoint slow; of these there are at most so many. */
  waiting: number
  slowMs: number
  /** To one endpoint that has just shown that it is quick; others get one. */
  perEndpoint: number
}

/** What is remembered of an endpoint beyond its deliveries under way, and of how many. */
const REMEMBER_MS = 60_000
const REMEMBERED = 1000

interface Flight {
  destination: string
  accountId: string
  lane: DeliveryLane
  atMs: number
}

/** Makes them; the clock is for tests. */
export function createLanes(limits: LaneLimits, clock: () => number = monotonicMs): Lanes {
  const flights = new Set<Flight>()
  // In the order of the last result.
  const known = new Map<string, { last: DeliveryLane; atMs: number }>()
  const whole = limits.slots + limits.waiting

  function forget(nowMs: number): void {
    for (const [id, { atMs }] of known) {
      if (nowMs - atMs < REMEMBER_MS && known.size <= REMEMBERED) return
      known.delete(id)
    }
  }

  function destinationsNow(nowMs: number): DeliveryRoom['destinations'] {
    const ids = new Set([...known.keys(), ...[...flights].map((flight) => flight.destination)])
    const all = new Map([...ids].map((id) => [id, { id, limit: limits.perEndpoint, inFlight: 0, lane: known.get(id)?.last ?? 'new' }]))
    for (const { destination, atMs } of flights) {
      const one = all.get(destination)
      if (!one) continue
      one.inFlight++
      if (nowMs - atMs > limits.slowMs) one.lane = 'slow'
    }
    return [...all.values()]
  }

  return {
    inFlight: () => flights.size,
    room() {
      const nowMs = clock()
      forget(nowMs)
      // What is left of a share of the slots, and of the same share of the slots and those that wait.
      const left = (share: number, counted: readonly Flight[]) => {
        const busy = counted.filter(({ atMs }) => nowMs - atMs <= limits.slowMs)
        return Math.max(0, Math.floor(Math.min(limits.slots * share - busy.length, whole * share - counted.length)))
      }
      const all = [...flights]
      const slow = all.filter(({ lane }) => lane === 'slow')
      return {
        slots: left(1, all),
        unprovenSlots: left(
          0.75,
          all.filter(({ lane }) => lane !== 'quick'),
        ),
        // Known to hang: they get no second share when they do.
        slowSlots: Math.max(0, Math.floor(limits.slots / 2) - slow.length),
        accountSlots: left(0.5, []),
        accounts: [...Map.groupBy(all, ({ accountId }) => accountId)].map(([id, own]) => ({ id, room: left(0.5, own) })),
        destinations: destinationsNow(nowMs),
      }
    },
    begin(delivery) {
      const destination = destinationOf(delivery)
      const flight = { destination, accountId: delivery.accountId, lane: delivery.lane, atMs: clock() }
      flights.add(flight)
      return (well) => {
        flights.delete(flight)
        const atMs = clock()
        known.delete(destination)
        known.set(destination, { last: atMs - flight.atMs > limits.slowMs ? 'slow' : well ? 'quick' : 'new', atMs })
      }
    },
  }
}
