import { errorText } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import { listMachines, type Machine, startDeleting } from '#store/machines.ts'
import { adoptOrphan } from '#store/orphans.ts'
import type { Leftover, Server } from '../cloud/cloud.ts'
import type { MachineDeps } from '../machines/deps.ts'
import { type Listing, serverOf } from '../machines/servers.ts'

/** Addresses without a machine cost little, and each look costs a call. */
const LEFTOVERS_MS = 10 * 60_000

/**
 * Compares what the provider has with what is written down, both ways: a server that no live row knows is given one that is to be
 * deleted; a node whose server is gone, or was powered off by its own dead-man switch, is ended; addresses that belong to nothing are given
 * back. All of it only when it looked so in two listings, and for the grace.
 */
export function createServerSweep(deps: MachineDeps, leftoversMs: number = LEFTOVERS_MS): (signal: AbortSignal) => Promise<void> {
  const { db, cloud, log } = deps
  const graceMs = deps.patience.graceSeconds * 1000
  /** What looks wrong, by id: when it was first seen so, and in which listing. */
  let suspects = new Map<string, { sinceMs: number; listing: number }>()
  let nextLeftoversMs = 0

  /** Whether it has looked wrong for long enough, in this listing and in an earlier one. */
  function isSure(id: string, listing: number, seen: typeof suspects): boolean {
    const suspect = suspects.get(id) ?? { sinceMs: monotonicMs(), listing }
    seen.set(id, suspect)
    return suspect.listing !== listing && monotonicMs() - suspect.sinceMs >= graceMs
  }

  /** From its row it is deleted, and booked, like any other. */
  async function adopt(server: Server): Promise<void> {
    const nodeId = await db.transaction((tx) => adoptOrphan(tx, cloud, deps.pool, server))
    if (nodeId === undefined) return
    log.warn({ serverId: server.id, nodeId, to: 'deleting' }, 'a server that no node knows is deleted')
    deps.meters.swept('server')
  }

  async function endNode(machine: Machine, why: string): Promise<void> {
    const done = await db.transaction((tx) => startDeleting(tx, machine.nodeId, ['booting', 'lost'], { failure: why }))
    if (done) log.warn({ nodeId: machine.nodeId, serverId: machine.serverId, from: machine.state, to: 'deleting', why }, 'a node has no working machine')
  }

  async function compare(listing: Listing, machines: readonly Machine[]): Promise<void> {
    const seen: typeof suspects = new Map()
    const known = new Set(machines.flatMap((machine) => serverOf(listing, machine)?.id ?? []))
    const orphans = listing.servers.filter((server) => !known.has(server.id) && isSure(server.id, listing.number, seen) && server.status !== 'deleting')
    const broken = machines.flatMap((machine) => {
      // The leases of a node that is heard, or was until now, are the lease reaper's to end.
      if (machine.serverId === null || (machine.state !== 'booting' && machine.state !== 'lost')) return []
      const server = serverOf(listing, machine)
      const why = server === undefined ? 'its machine is gone at the provider' : server.status === 'off' ? 'its machine is powered off' : undefined
      return why !== undefined && machine.stateAgeMs() > listing.ageMs() && isSure(machine.nodeId, listing.number, seen) ? [{ machine, why }] : []
    })
    suspects = new Map([...seen, ...[...suspects].filter(([id]) => id.startsWith('leftover '))])
    for (const { machine, why } of broken) await endNode(machine, why)
    for (const server of orphans) {
      await adopt(server).catch((error: unknown) => log.warn({ serverId: server.id, error: errorText(error) }, 'it is not deleted yet; trying again'))
    }
  }

  async function removeLeftovers(signal: AbortSignal): Promise<void> {
    if (monotonicMs() < nextLeftoversMs) return
    const round = nextLeftoversMs
    nextLeftoversMs = monotonicMs() + leftoversMs
    const found = await cloud.leftovers(signal)
    const seen: typeof suspects = new Map()
    const sure = found.filter((leftover) => isSure(`leftover ${leftover.id}`, round, seen))
    suspects = new Map([...[...suspects].filter(([id]) => !id.startsWith('leftover ')), ...seen])
    for (const leftover of sure) await removeLeftover(leftover, signal)
  }

  async function removeLeftover(leftover: Leftover, signal: AbortSignal): Promise<void> {
    if (!deps.isLeader()) return
    log.warn({ serverId: leftover.id, kind: leftover.kind }, 'what belonged to no machine is given back')
    await cloud.removeLeftover(leftover, signal)
    deps.meters.swept(leftover.kind)
  }

  return async (signal) => {
    if (!deps.isLeader()) return
    const listing = await deps.servers.read(signal)
    // After the listing: whatever it shows had its row before it was ordered.
    if (listing) await compare(listing, await listMachines(db, cloud.provider))
    await removeLeftovers(signal)
  }
}
