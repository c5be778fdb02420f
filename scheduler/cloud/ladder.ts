import type { Architecture } from '#core/node.ts'
import type { Fault } from './breakers.ts'
import type { Cell, Offer } from './cloud.ts'

/** What a provider's catalogue says of a cell. */
export interface CatalogueCell extends Cell {
  arch: Architecture
  cores: number
  memoryBytes: number
  /** The machine alone; null when there is no price. */
  hourMicrons: number | null
  /** Of a public address there; null when there is no price. */
  addressHourMicrons: number | null
  available: boolean
  /** From here on it cannot be ordered any more; null: it is not withdrawn. */
  withdrawnAtMs: number | null
}

/** In which order cells are tried, and what may be among them. */
export interface LadderOptions {
  types: readonly string[]
  locations: readonly string[]
  /** Architectures that there is an image for. */
  archs: ReadonlySet<Architecture>
  /** Whether machines get an address that is paid for. */
  paidAddress: boolean
}

/** Of a machine's memory the kernel and the system take about so much; the rest is for jobs, as with the runner's default. */
const JOB_MEMORY_PERCENT = 75

/**
 * The cells that can be bought, rung by rung: each type at each location before the next type. A cell whose price is not known is
 * not to be ordered, as nobody could say what it costs. Cells that the catalogue does not have are left out.
 */
export function buildLadder(catalogue: readonly CatalogueCell[], options: LadderOptions, fault: (cell: Cell) => Fault | null, nowMs: number): Offer[] {
  const byCell = new Map(catalogue.map((cell) => [`${cell.serverType}@${cell.location}`, cell]))
  return options.types.flatMap((serverType) =>
    options.locations.flatMap((location) => {
      const cell = byCell.get(`${serverType}@${location}`)
      return cell && options.archs.has(cell.arch) ? [offerOf(cell, options, fault(cell), nowMs)] : []
    }),
  )
}

function offerOf(cell: CatalogueCell, options: LadderOptions, fault: Fault | null, nowMs: number): Offer {
  const addressMicrons = options.paidAddress ? cell.addressHourMicrons : 0
  const error = errorOf(cell, addressMicrons, fault, nowMs)
  return {
    serverType: cell.serverType,
    location: cell.location,
    arch: cell.arch,
    slots: cell.cores,
    memoryBytes: Math.floor((cell.memoryBytes * JOB_MEMORY_PERCENT) / 100),
    hourMicrons: isPrice(cell.hourMicrons) && addressMicrons !== null ? cell.hourMicrons + addressMicrons : null,
    available: error === undefined,
    error,
  }
}

function errorOf(cell: CatalogueCell, addressMicrons: number | null, fault: Fault | null, nowMs: number): Offer['error'] {
  const where = `${cell.serverType} in ${cell.location}`
  if (cell.withdrawnAtMs !== null && cell.withdrawnAtMs <= nowMs) return { code: 'withdrawn', message: `${where} cannot be ordered any more`, retryAtMs: null }
  if (!isPrice(cell.hourMicrons)) return { code: 'no_price', message: `${where} has no price`, retryAtMs: null }
  if (addressMicrons === null) return { code: 'no_price', message: `an IPv4 address in ${cell.location} has no price`, retryAtMs: null }
  if (fault) return fault
  return cell.available ? undefined : { code: 'unavailable', message: `${where} is out of stock`, retryAtMs: null }
}

/** Nothing is free there: at a price of 0 the cap of what machines may cost would bound nothing. */
function isPrice(hourMicrons: number | null): hourMicrons is number {
  return hourMicrons !== null && hourMicrons > 0
}
