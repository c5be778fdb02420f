import type { Log } from '#core/service/log.ts'
import { CloudError } from './cloud.ts'
import type { HetznerApi } from './hetzner-api.ts'
import type { HetznerPricing, HetznerServerType } from './hetzner-schema.ts'
import type { CatalogueCell } from './ladder.ts'
import { parseMicrons } from './price.ts'

/** What Hetzner sells, as it said lately. */
export interface Catalogue {
  /** Every type at every location that it is listed for. Asks Hetzner at most once in TYPES_MS. */
  cells(signal: AbortSignal): Promise<readonly CatalogueCell[]>
}

/** So long what was read of types is good; of prices of addresses, which change by announcement, PRICES_MS. */
export const TYPES_MS = 120_000
const PRICES_MS = 3_600_000
/** While Hetzner does not answer, an older one is better than none. */
const STALE_MS = 15 * 60_000

interface Read<T> {
  value: T
  atMs: number
}

/** Makes it; it reads nothing before it is asked. */
export function createCatalogue(api: HetznerApi, log: Log, now: () => number): Catalogue {
  let types: Read<readonly CatalogueCell[]> | undefined
  let prices: Read<HetznerPricing> | undefined
  const warned = new Set<string>()

  async function pricing(signal: AbortSignal): Promise<HetznerPricing> {
    if (!prices || now() - prices.atMs >= PRICES_MS) {
      prices = { value: await api.pricing(signal), atMs: now() }
      if (prices.value.currency !== 'EUR') log.warn({ why: 'currency' }, 'the prices of this account are not in euros: what is called EUR is its own currency')
    }
    return prices.value
  }

  async function read(signal: AbortSignal): Promise<readonly CatalogueCell[]> {
    const addresses = addressPrices(await pricing(signal))
    const cells = (await api.serverTypes(signal)).flatMap((type) => cellsOf(type, addresses))
    for (const cell of cells) {
      const name = `${cell.serverType}@${cell.location}`
      if (cell.withdrawnAtMs === null || warned.has(name)) continue
      warned.add(name)
      log.debug({ cell: name }, 'this type of machine is being withdrawn here')
    }
    return cells
  }

  return {
    async cells(signal) {
      if (types && now() - types.atMs < TYPES_MS) return types.value
      try {
        types = { value: await read(signal), atMs: now() }
      } catch (error) {
        const usable = types && now() - types.atMs < STALE_MS
        if (!types || !usable || !(error instanceof CloudError) || error.kind === 'refused') throw error
        log.warn({ code: error.code, error: error.message }, 'what can be bought could not be read anew; the last list is used')
      }
      return types.value
    },
  }
}

function addressPrices(pricing: HetznerPricing): Map<string, number | null> {
  const ipv4 = pricing.primary_ips.find(({ type }) => type === 'ipv4')
  return new Map(ipv4?.prices.map(({ location, price_hourly }) => [location, parseMicrons(price_hourly.net) ?? null]))
}

function cellsOf(type: HetznerServerType, addresses: ReadonlyMap<string, number | null>): CatalogueCell[] {
  return type.locations.map(({ name: location, available, deprecation }) => {
    const price = type.prices.find((one) => one.location === location)
    return {
      serverType: type.name,
      location,
      arch: type.architecture === 'arm' ? 'arm64' : 'amd64',
      cores: type.cores,
      memoryBytes: Math.floor(type.memory * 2 ** 30),
      hourMicrons: (price && parseMicrons(price.price_hourly.net)) ?? null,
      addressHourMicrons: addresses.get(location) ?? null,
      available,
      withdrawnAtMs: deprecation ? Date.parse(deprecation.unavailable_after) : null,
    }
  })
}
