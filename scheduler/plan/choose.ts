import { isForSale, type Offer, type Priced } from '../cloud/cloud.ts'
import { type Demand, giveBack, place, type Taken } from './demand.ts'
import type { MachinePlan, NodeFacts, PlanInput } from './plan.ts'
import { nameShortage } from './shortage.ts'

/** What is wanted beside slots for waiting jobs. */
export interface Wanted {
  demand: Demand
  /** Slots to be kept free. */
  warmSlots: number
  /** So many machines there are to be at least. */
  machines: number
}

/** What the caps leave room for. */
export interface Room {
  machines: number
  microns: number
  burst: number
}

/** Counts everything that may exist, or will: what is being deleted is paid for until it is gone. */
export function roomFor(nodes: readonly NodeFacts[], policy: PlanInput['policy']): Room {
  const counted = nodes.filter(({ state }) => state !== 'gone' && state !== 'failed')
  const microns = counted.reduce((sum, node) => sum + node.hourMicrons, 0)
  return {
    machines: Math.max(0, policy.maxNodes - counted.length),
    microns: policy.maxHourMicrons === null ? Number.POSITIVE_INFINITY : policy.maxHourMicrons - microns,
    burst: Math.max(0, policy.burst),
  }
}

/** An offer and what one machine of it would do. */
interface Candidate {
  offer: Priced
  usefulSlots: number
}

/**
 * Chooses machines, one at a time: the one that gives most of the slots that are wanted for its price, the first offered of
 * equals. What is placed on them leaves the demand.
 */
export function chooseMachines(wanted: Wanted, offers: readonly Offer[], room: Room, bootSeconds: number): Pick<MachinePlan, 'create' | 'shortage'> {
  const create: MachinePlan['create'] = []
  const left = { ...room }
  const { demand } = wanted
  let { warmSlots, machines } = wanted
  const orderable = offers.filter(isForSale).filter((offer) => offer.slots > 0)
  while ((demand.left > 0 || warmSlots > 0 || machines > 0) && left.machines > 0 && left.burst > 0) {
    const best = bestOf(orderable, left, demand, warmSlots, machines > 0, bootSeconds)
    if (!best) break
    const free = { ...openingOf(best.offer, bootSeconds) }
    place(demand, best.offer.arch, free)
    warmSlots = Math.max(0, warmSlots - free.slots)
    machines--
    left.machines--
    left.burst--
    left.microns -= best.offer.hourMicrons
    const same = create.find(({ offer }) => offer === best.offer)
    if (same) same.count++
    else create.push({ offer: best.offer, count: 1 })
  }
  return { create, shortage: nameShortage({ demand, warmSlots, machines }, offers, left) }
}

function bestOf(offers: readonly Priced[], room: Room, demand: Demand, warmSlots: number, any: boolean, bootSeconds: number): Candidate | undefined {
  let best: Candidate | undefined
  for (const offer of offers) {
    if (offer.hourMicrons > room.microns) continue
    const usefulSlots = usefulSlotsOf(offer, demand, warmSlots, bootSeconds)
    if (usefulSlots === 0 && !any) continue
    const found = { offer, usefulSlots }
    if (!best || isBetter(found, best)) best = found
  }
  return best
}

/** Of two that give nothing that is wanted, the cheaper one. */
function isBetter(a: Candidate, b: Candidate): boolean {
  const [ofA, ofB] = [a.usefulSlots * Math.max(1, b.offer.hourMicrons), b.usefulSlots * Math.max(1, a.offer.hourMicrons)]
  return ofA > ofB || (ofA === 0 && ofB === 0 && a.offer.hourMicrons < b.offer.hourMicrons)
}

function usefulSlotsOf(offer: Offer, demand: Demand, warmSlots: number, bootSeconds: number): number {
  const taken: Taken[] = []
  const free = openingOf(offer, bootSeconds)
  const slots = place(demand, offer.arch, free, taken)
  giveBack(demand, taken)
  return slots + Math.min(warmSlots, free.slots)
}

function openingOf(offer: Offer, bootSeconds: number) {
  return { slots: offer.slots, memoryBytes: offer.memoryBytes, fromSeconds: bootSeconds }
}
