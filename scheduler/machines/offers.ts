import { errorText } from '#core/errors.ts'
import type { Architecture } from '#core/node.ts'
import type { Log } from '#core/service/log.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { DatabasePool } from '#store/pool.ts'
import { recordPrices } from '#store/prices.ts'
import { cellFaults, recordOffers } from '#store/scaling.ts'
import { type Cell, type Cloud, isForSale, type Offer, type Priced } from '../cloud/cloud.ts'

/** What can be bought now. */
export interface Offers {
  /** In the provider's order; one that had nothing lately is not available. undefined when the provider does not say. */
  read(signal: AbortSignal): Promise<Offer[] | undefined>
}

/** Types and prices change on some days; each look costs several calls. */
const EVERY_MS = 10 * 60_000
const FAILED_MS = 30_000
const WRONG_ARCH = { code: 'arch', message: 'images of jobs are for another architecture (RGRID_IMAGE_ARCH)', retryAtMs: null }

/** See the interface. What is offered is written down for people. `archs`: those that images of jobs have; of others nothing is bought. */
export function createOffers(cloud: Pick<Cloud, 'provider' | 'billing' | 'offers'>, db: DatabasePool, log: Log, archs: readonly Architecture[]): Offers {
  let last: Offer[] | undefined
  let nextMs = 0

  async function look(signal: AbortSignal): Promise<void> {
    try {
      last = (await cloud.offers(signal)).map((offer) => (archs.includes(offer.arch) ? offer : { ...offer, available: false, error: WRONG_ARCH }))
      nextMs = monotonicMs() + EVERY_MS
    } catch (error) {
      signal.throwIfAborted()
      nextMs = monotonicMs() + FAILED_MS
      log.warn({ error: errorText(error) }, 'the provider does not say what it offers')
      return
    }
    const cells = last.map((offer) => ({ ...offer, error: offer.error ?? null }))
    await recordOffers(db, cloud.provider, cells)
    await recordPrices(db, cloud, last)
  }

  return {
    async read(signal) {
      if (monotonicMs() >= nextMs) await look(signal)
      if (!last) return undefined
      const faults = await cellFaults(db, cloud.provider)
      return last.map((offer) => {
        const fault = faults.find((cell) => sameCell(cell, offer))
        return fault ? { ...offer, available: false, error: fault.error } : offer
      })
    },
  }
}

/** Whether two are the same type at the same place. */
export function sameCell(a: Cell, b: Cell): boolean {
  return a.serverType === b.serverType && a.location === b.location
}

/** The next that can take the place of a machine: available, not tried, and no smaller. */
export function nextOffer(offers: readonly Offer[], wanted: Pick<Offer, 'arch' | 'slots' | 'memoryBytes'>, tried: readonly Cell[]): Priced | undefined {
  return offers
    .filter(isForSale)
    .find(
      (offer) =>
        offer.arch === wanted.arch && offer.slots >= wanted.slots && offer.memoryBytes >= wanted.memoryBytes && !tried.some((cell) => sameCell(cell, offer)),
    )
}
