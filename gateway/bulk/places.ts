import { RGridError } from '#core/errors.ts'
import { pause } from '#core/service/time.ts'

/** So many large batches of one account may come in at once. */
const MOST_OF_ACCOUNT = 4
/** Beyond this a batch is large; until then it costs no more than any other request. */
const LARGE_BYTES = 64 * 1024
const RETRY_SECONDS = 5
/** Who asks again at once waits for so long each time, and sends nothing meanwhile. */
const REFUSED_AFTER_MS = 1000

/** What a batch that comes in takes up. */
export interface Place {
  /** Counts bytes that came in; throws `limit_exceeded` or `unavailable` when they are more than there is room for. */
  take(bytes: number): Promise<void>
}

/** Shares the room for batches that come in among the accounts. */
export interface Places {
  /** Runs the work with a place that is given back in the end. */
  within<T>(accountId: string, work: (place: Place) => Promise<T>): Promise<T>
}

interface Taken {
  places: number
  large: number
  bytes: number
}

/**
 * See the interface. What counts is what has come and not who is connected: a client that sends nothing takes nothing from the
 * others. Of `roomBytes` an account may hold as much as is left free (one of them half, two a third each …), so that there is
 * room for the next one whatever the others do.
 */
export function createPlaces(roomBytes: number, stopping: AbortSignal): Places {
  const accounts = new Map<string, Taken>()
  let allBytes = 0

  function refuse(own: Taken, bytes: number, large: boolean): RGridError | undefined {
    if (own.bytes + bytes > roomBytes - allBytes - bytes)
      return new RGridError('unavailable', 'the batches that are coming in take up the room that there is for them; try again', {
        retryAfterSeconds: RETRY_SECONDS,
      })
    if (!large || own.large < MOST_OF_ACCOUNT) return undefined
    return new RGridError('limit_exceeded', `${own.large} large batches of the account are coming in at this moment, as many as may`, {
      retryAfterSeconds: RETRY_SECONDS,
    })
  }

  return {
    async within(accountId, work) {
      const own = accounts.get(accountId) ?? { places: 0, large: 0, bytes: 0 }
      accounts.set(accountId, own)
      own.places++
      let held = 0
      const place: Place = {
        async take(bytes) {
          const large = held <= LARGE_BYTES && held + bytes > LARGE_BYTES
          const refusal = refuse(own, bytes, large)
          if (refusal) {
            await pause(REFUSED_AFTER_MS, stopping)
            throw refusal
          }
          if (large) own.large++
          held += bytes
          own.bytes += bytes
          allBytes += bytes
        },
      }
      try {
        return await work(place)
      } finally {
        own.places--
        own.bytes -= held
        allBytes -= held
        if (held > LARGE_BYTES) own.large--
        if (own.places === 0) accounts.delete(accountId)
      }
    },
  }
}
