import type { Counted } from '#store/machine-counts.ts'
import type { MachineKind } from '#store/machines.ts'
import type { Offer, Server } from '../cloud/cloud.ts'
import type { Shortage } from '../plan/plan.ts'

/** The most that there may ever be, whatever a plan says. */
export interface Caps {
  maxNodes: number
  /** What the hours that are paid at one time may cost, in microns; null: no limit. */
  maxHourMicrons: number | null
}

/** What there is already: rows, and machines at the provider that no row knows. */
export interface Stock {
  machines: number
  /** With what is still paid for machines that have ended. */
  hourMicrons: number
}

/**
 * Counts what is paid for, or is to be: rows by their price, and machines at the provider without a row by the price of their
 * cell, or the dearest one when it is offered no more. `except`: the name of the machine that is asked for.
 */
export function takeStock(rows: readonly Counted[], servers: readonly Server[], offers: readonly Offer[], withPlanned: boolean, except?: string): Stock {
  const dearest = Math.max(0, ...offers.map((offer) => offer.hourMicrons ?? 0))
  const isListed = (row: Counted) => servers.some((server) => server.name === row.name)
  const there = rows.filter((row) => !row.ended)
  const counted = there.filter((row) => row.name !== except && (withPlanned || !row.planned || isListed(row)))
  const known = new Set(there.flatMap((row) => (row.serverId === null ? [row.name] : [row.name, row.serverId])))
  const spent = rows.filter((row) => row.ended && !isListed(row))
  const unknown = servers.filter((server) => !known.has(server.id) && !known.has(server.name))
  const priceOf = (server: Server) =>
    offers.find((offer) => offer.serverType === server.serverType && offer.location === server.location)?.hourMicrons ?? dearest
  return {
    machines: counted.length + unknown.length,
    hourMicrons: [...counted, ...spent].reduce((sum, row) => sum + row.hourMicrons, 0) + unknown.reduce((sum, server) => sum + priceOf(server), 0),
  }
}

/** What is left of a limit when what is still paid for machines that have ended is taken off; null: no limit. */
export function leftToSpend(maxHourMicrons: number | null, rows: readonly Counted[]): number | null {
  if (maxHourMicrons === null) return null
  const spent = rows.filter((row) => row.ended).reduce((sum, row) => sum + row.hourMicrons, 0)
  return Math.max(0, maxHourMicrons - spent)
}

/** Why one more machine would be too many; null when it is not. */
export function capFault(stock: Stock, kind: Pick<MachineKind, 'hourMicrons'>, caps: Caps): { code: Shortage; detail: string } | null {
  if (stock.machines + 1 > caps.maxNodes) return { code: 'max_nodes', detail: `there are ${stock.machines} machines, and no more than ${caps.maxNodes} may be` }
  const microns = stock.hourMicrons + kind.hourMicrons
  if (caps.maxHourMicrons !== null && microns > caps.maxHourMicrons)
    return { code: 'max_spend', detail: `with one more the hours that are paid would cost ${microns} microns, and ${caps.maxHourMicrons} is the limit` }
  return null
}
