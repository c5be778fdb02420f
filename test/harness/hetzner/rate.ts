/** The limit of calls: a bucket that refills gradually, and says so in headers. */
export interface Rate {
  /** Takes a call; false: there is none left. */
  take(): boolean
  headers(): Record<string, string>
  /** Sets what is left, for a test that wants little. */
  leave(calls: number): void
}

const HOUR_MS = 3_600_000

/** Full at first (https://docs.hetzner.cloud/reference/cloud#description/rate-limiting). */
export function createRate(limitPerHour: number, now: () => number): Rate {
  const perMs = limitPerHour / HOUR_MS
  let left = limitPerHour
  let atMs = now()

  function fill(): void {
    left = Math.min(limitPerHour, left + (now() - atMs) * perMs)
    atMs = now()
  }

  return {
    take() {
      fill()
      if (left < 1) return false
      left--
      return true
    },
    headers: () => ({
      'RateLimit-Limit': String(limitPerHour),
      'RateLimit-Remaining': String(Math.floor(left)),
      'RateLimit-Reset': String(Math.ceil((now() + (limitPerHour - left) / perMs) / 1000)),
    }),
    leave(calls) {
      fill()
      left = calls
    },
  }
}
