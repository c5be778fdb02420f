/** An hour in milliseconds. */
export const HOUR_MS = 3_600_000

/** What is paid for a machine, and since when. Times in milliseconds since 1970. */
export interface Paid {
  startMs: number
  /** From here on nothing is paid for it; null: it is there. */
  endMs: number | null
  /** `hour`: each started hour is paid in full; `second`: only what it was there. */
  billing: 'hour' | 'second'
  /** The price of this hour, in microns. */
  hourMicrons: number
}

/** An hour of a machine and what is paid for it. */
export interface PaidHour {
  fromMs: number
  /** A whole hour, unless it is paid by the second and was cut short. */
  untilMs: number
  paidMicrons: number
  /** Whether no other one comes after it. */
  last: boolean
}

/**
 * One of the hours of a machine, counted from 0 and from the moment that it is paid from. What is cut short and paid by
 * the second is rounded up to the micron. Behind the end of the machine: an hour of no length that costs nothing.
 */
export function paidHour({ startMs, endMs, billing, hourMicrons }: Paid, hour: number): PaidHour {
  const fromMs = startMs + hour * HOUR_MS
  const wholeMs = fromMs + HOUR_MS
  const last = endMs !== null && endMs <= wholeMs
  // A machine that was bought is paid for an hour, however soon it was deleted.
  if (last && endMs <= fromMs && (hour > 0 || billing === 'second')) return { fromMs, untilMs: fromMs, paidMicrons: 0, last }
  if (!last || billing === 'hour') return { fromMs, untilMs: wholeMs, paidMicrons: hourMicrons, last }
  const paidMicrons = Number((BigInt(hourMicrons) * BigInt(endMs - fromMs) + BigInt(HOUR_MS - 1)) / BigInt(HOUR_MS))
  return { fromMs, untilMs: endMs, paidMicrons, last }
}
