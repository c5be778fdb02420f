import type { Architecture } from '#core/node.ts'

/** What can be bought: a type of machine at a place. */
export interface Cell {
  serverType: string
  location: string
}

/** A cell with what it gives and costs. */
export interface Offer extends Cell {
  arch: Architecture
  slots: number
  /** For jobs: the machine's memory without what the system takes. */
  memoryBytes: number
  /** Everything that an hour costs, address included, net, in microns; null: not known, and then it is not available. */
  hourMicrons: number | null
  /** False: not to be ordered now (out of stock, withdrawn, or it failed lately). */
  available: boolean
  /** Why it is not available. */
  error?: { code: string; message: string; retryAtMs: number | null } | undefined
}

/** An offer whose price is known. */
export type Priced = Offer & { hourMicrons: number }

/** Whether it can be ordered now. */
export function isForSale(offer: Offer): offer is Priced {
  return offer.available && offer.hourMicrons !== null
}

/** A machine to be bought. The name is made of the node's id, so that a repeated order meets the first one. */
export interface Order extends Cell {
  nodeId: string
  name: string
  pool: string
  /** cloud-init; holds a one-time token and no other secret. */
  userData: string
}

/** A machine as the provider lists it. */
export interface Server extends Cell {
  id: string
  name: string
  /** Of the label; null when it has none. */
  nodeId: string | null
  status: 'starting' | 'running' | 'off' | 'deleting'
  /** From here on its hours are paid. */
  createdAtMs: number
  /** Its order failed after it was taken: it will never work, is paid for all the same, and is to be removed. */
  failure?: { code: string; message: string } | undefined
}

/** Something that is paid for and belongs to no machine. */
export interface Leftover {
  kind: 'address'
  id: string
  name: string
  createdAtMs: number
}

/**
 * A provider of machines. Each call has a deadline of its own and throws CloudError. `list` shows only what carries this
 * installation's label.
 */
export interface Cloud {
  readonly provider: string
  /** Whether each started hour is paid in full. */
  readonly billing: 'hour' | 'second'
  /** What can be bought, in the order in which it is to be tried. */
  offers(signal: AbortSignal): Promise<Offer[]>
  /** Resolves when the provider took the order; the machine may still be starting. */
  create(order: Order, signal: AbortSignal): Promise<Server>
  list(signal: AbortSignal): Promise<Server[]>
  /** A machine that is not there is fine. Resolves when the provider took the order; it is gone when `list` lacks it. */
  remove(serverId: string, signal: AbortSignal): Promise<void>
  leftovers(signal: AbortSignal): Promise<Leftover[]>
  removeLeftover(leftover: Leftover, signal: AbortSignal): Promise<void>
}

/**
 * What went wrong with a provider, by what is to be done about it.
 * - `no_capacity`: this cell has nothing; try the next one
 * - `limit`: the account may have no more; stop buying
 * - `rate_limited`: too many calls; none before `retryAtMs`
 * - `exists`: the name is taken, so it was bought before: adopt it
 * - `busy`: locked or in conflict; the same call again, later
 * - `unknown_outcome`: no answer came; it may have been done all the same
 * - `away`: the provider does not work at the moment
 * - `refused`: the request is wrong, or the credential; people must look
 */
export const CLOUD_ERRORS = ['no_capacity', 'limit', 'rate_limited', 'exists', 'busy', 'unknown_outcome', 'away', 'refused'] as const
/** See CLOUD_ERRORS. */
export type CloudErrorKind = (typeof CLOUD_ERRORS)[number]

/** An error of a provider. `code` is the provider's own word. */
export class CloudError extends Error {
  readonly kind: CloudErrorKind
  readonly code: string
  readonly retryAtMs: number | null

  constructor(kind: CloudErrorKind, code: string, message: string, options: { retryAtMs?: number | undefined; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'CloudError'
    this.kind = kind
    this.code = code
    this.retryAtMs = options.retryAtMs ?? null
  }
}
