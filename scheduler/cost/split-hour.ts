import type { PaidHour } from './paid-hour.ts'

/** What used slots of a machine, from when until when (milliseconds since 1970). */
export interface SlotUse {
  id: string
  slots: number
  fromMs: number
  untilMs: number
}

/** The part of an hour that is one use's. */
export interface Share {
  id: string
  /** Slots × milliseconds within the hour. */
  slotMs: number
  costMicrons: number
}

/**
 * Shares out what is paid for an hour: to each use by its slots and its time within the hour, against all slots for the whole
 * hour; what nobody used is idle. Whole microns, and they add up to what is paid: each gets its share rounded down, and
 * what is left goes, a micron each, to those whose share was cut most, then by id. Uses that take more than there is
 * (an attempt that was declared lost overlaps the one after it) share the hour, and nothing is idle. Pure; the order of the uses
 * means nothing, their ids must differ.
 */
export function splitHour(
  hour: Pick<PaidHour, 'fromMs' | 'untilMs' | 'paidMicrons'>,
  slots: number,
  uses: readonly SlotUse[],
): { shares: Share[]; idleMicrons: number } {
  const weighed = uses.map((use) => ({ use, slotMs: use.slots * Math.max(0, Math.min(use.untilMs, hour.untilMs) - Math.max(use.fromMs, hour.fromMs)) }))
  const used = weighed.reduce((sum, { slotMs }) => sum + slotMs, 0)
  const room = Math.max(slots * (hour.untilMs - hour.fromMs), used)
  if (room === 0) return { shares: weighed.map(({ use, slotMs }) => ({ id: use.id, slotMs, costMicrons: 0 })), idleMicrons: hour.paidMicrons }
  const cut = (slotMs: number) => {
    const exact = BigInt(hour.paidMicrons) * BigInt(slotMs)
    return { microns: Number(exact / BigInt(room)), rest: exact % BigInt(room) }
  }
  const parts = weighed.map(({ use, slotMs }) => ({ id: use.id, slotMs, ...cut(slotMs) }))
  const idle = { id: undefined, slotMs: room - used, ...cut(room - used) }
  let left = hour.paidMicrons - idle.microns - parts.reduce((sum, { microns }) => sum + microns, 0)
  for (const part of [...parts, idle].sort(byRest)) {
    if (left === 0) break
    part.microns++
    left--
  }
  return { shares: parts.map(({ id, slotMs, microns }) => ({ id, slotMs, costMicrons: microns })), idleMicrons: idle.microns }
}

interface Part {
  /** Idle has none, and comes last. */
  id: string | undefined
  rest: bigint
}

function byRest(a: Part, b: Part): number {
  if (a.rest !== b.rest) return a.rest > b.rest ? -1 : 1
  if (a.id === undefined || b.id === undefined) return a.id === undefined ? 1 : -1
  return a.id < b.id ? -1 : 1
}
