import type { Offer } from '../cloud/cloud.ts'
import type { Room, Wanted } from './choose.ts'
import { type MachinePlan, SHORTAGES, type Shortage, type Waiting } from './plan.ts'

/** What waiting jobs lack and why, the gravest reason first; null: nothing is wanting. */
export function nameShortage(wanted: Wanted, offers: readonly Offer[], room: Room): MachinePlan['shortage'] {
  const details = new Map<Shortage, string>()
  const waits = wanted.demand.groups.filter(({ left }) => left > 0)
  const buyable = waits.filter(({ waiting }) => offers.some((offer) => fits(waiting, offer)))
  const orderable = buyable.filter(({ waiting }) => offers.some((offer) => offer.available && fits(waiting, offer)))
  const tooLarge = waits.filter((group) => !buyable.includes(group))
  if (tooLarge.length > 0) details.set('too_large', tellTooLarge(tooLarge, offers))
  const missing = wanted.warmSlots > 0 || wanted.machines > 0
  const nothingToOrder = missing && !offers.some(({ available }) => available)
  if (buyable.length > orderable.length || nothingToOrder) details.set('no_cell', tellUnavailable(offers))
  if (orderable.length > 0 || (missing && !nothingToOrder)) details.set(limitOf(room), LIMIT_WORDS[limitOf(room)])
  const code = SHORTAGES.find((one) => details.has(one))
  if (code === undefined) return null
  return { code, detail: [details.get(code), ...[...details].filter(([one]) => one !== code).map(([, detail]) => detail)].join('; ') }
}

const LIMIT_WORDS = {
  max_nodes: 'there are as many machines as there may be',
  max_spend: 'another machine would cost more in an hour than may be spent',
  burst: 'more machines are bought in the next round',
} as const

function limitOf(room: Room): keyof typeof LIMIT_WORDS {
  if (room.machines <= 0) return 'max_nodes'
  return room.burst <= 0 ? 'burst' : 'max_spend'
}

function fits(waiting: Waiting, offer: Offer): boolean {
  return waiting.archs.includes(offer.arch) && waiting.slots <= offer.slots && waiting.memoryBytes <= offer.memoryBytes
}

function tellTooLarge(groups: Wanted['demand']['groups'], offers: readonly Offer[]): string {
  const jobs = groups.reduce((sum, { left }) => sum + left, 0)
  const [largest] = [...groups].sort((a, b) => b.waiting.slots - a.waiting.slots || b.waiting.memoryBytes - a.waiting.memoryBytes)
  const wants = largest ? `${sizeOf(largest.waiting)} on ${largest.waiting.archs.join(' or ') || 'no architecture'}` : ''
  const [offer] = [...offers].sort((a, b) => b.slots - a.slots || b.memoryBytes - a.memoryBytes)
  const has = offer ? `the largest machine offered has ${sizeOf(offer)} on ${offer.arch}` : 'nothing is offered'
  return `${jobs === 1 ? '1 waiting job fits' : `${jobs} waiting jobs fit`} no machine that is offered: wanted are up to ${wants}; ${has}`
}

function tellUnavailable(offers: readonly Offer[]): string {
  const faults = offers
    .filter(({ available }) => !available)
    .map((offer) => `${offer.serverType}@${offer.location}${offer.error ? ` (${offer.error.code})` : ''}`)
  const shown = faults.slice(0, 3).join(', ')
  return faults.length === 0 ? 'nothing is offered' : `not to be had now: ${shown}${faults.length > 3 ? ` and ${faults.length - 3} more` : ''}`
}

function sizeOf({ slots, memoryBytes }: { slots: number; memoryBytes: number }): string {
  return `${slots === 1 ? '1 slot' : `${slots} slots`} and ${(memoryBytes / 2 ** 30).toFixed(1)} GiB`
}
