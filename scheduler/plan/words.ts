import type { PaidHour } from './billing.ts'
import type { Member } from './fleet.ts'

/** `2 machines`, `1 slot`. */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

/** What a node does, and until when it is paid: `idle; paid until 14:32 UTC, goes at 14:31 UTC`. */
export function tellReady({ node, hour }: Member, goes: boolean): string {
  const does = node.usedSlots === 0 ? 'idle' : `busy: ${node.usedSlots} of ${count(node.slots, 'slot')}`
  return `${does}${tellHour(hour, goes && node.usedSlots === 0)}`
}

/** `; paid until 14:32 UTC`; nothing when no hour ends. */
export function tellHour(hour: PaidHour, goes: boolean): string {
  if (!Number.isFinite(hour.untilMs)) return ''
  return `; paid until ${clock(hour.untilMs)}${goes ? `, goes at ${clock(hour.goesAtMs)}` : ''}`
}

/** `14:32 UTC`, of milliseconds since 1970. */
export function clock(ms: number): string {
  const minutes = Math.floor(ms / 60_000) % (24 * 60)
  return `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)} UTC`
}

function pad(number: number): string {
  return number < 10 ? `0${number}` : `${number}`
}
