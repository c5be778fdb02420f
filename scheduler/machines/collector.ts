import { errorText } from '#core/errors.ts'
import type { NodeState } from '#core/node.ts'
import { endMachine, listMachines, type Machine, recordServer, startDeleting, withdrawRemoval } from '#store/machines.ts'
import { recordCellFault } from '#store/scaling.ts'
import type { Server } from '../cloud/cloud.ts'
import type { MachineDeps } from './deps.ts'
import { type Listing, serverOf } from './servers.ts'

/** An order that was never answered may still be carried out for so long. */
const ORDER_MS = 120_000
/** A deletion that was taken shows in listings from then on; one that goes on for longer than the second hangs. */
const SHOWS_MS = 5000
const HANGS_MS = 60_000

/**
 * Ends machines: deleting → gone or failed, when the provider lists it no more; a deletion that does not come about is to be ordered
 * again. Gives up on machines that do not enrol and on nodes that stay lost: the planner then sees what is missing.
 */
export function createCollector(deps: MachineDeps): (signal: AbortSignal) => Promise<void> {
  const { db, cloud, log, patience } = deps
  const booting = new Set<string>()

  async function giveUp(machine: Machine, failure: string): Promise<void> {
    const from: NodeState[] = [machine.state]
    if (!(await db.transaction((tx) => startDeleting(tx, machine.nodeId, from, { failure })))) return
    log.warn({ nodeId: machine.nodeId, serverId: machine.serverId, from: machine.state, to: 'deleting', why: failure }, 'a machine is given up')
  }

  /** An order can fail after it was taken: its cell is left alone like one that said no at once. */
  async function looksBroken(machine: Machine, listing: Listing): Promise<void> {
    const failure = serverOf(listing, machine)?.failure
    if (!failure) return
    await recordCellFault(db, cloud.provider, machine, failure, patience.cellSeconds)
    await giveUp(machine, `its order failed: ${failure.message}`)
  }

  async function end(machine: Machine, listing: Listing): Promise<void> {
    const seenSince = machine.stateAgeMs() > listing.ageMs() + (machine.serverId === null ? ORDER_MS : 0)
    deps.servers.expectChange()
    if (!seenSince) return
    const ended = await db.transaction((tx) => endMachine(tx, machine.nodeId))
    if (ended === undefined) return
    deps.meters.deleted()
    const { nodeId, serverId } = machine
    log.info({ nodeId, serverId, from: 'deleting', to: ended.state }, 'machine deleted')
    if (ended.unarchived > 0)
      log.error(
        { nodeId, serverId, unarchived: ended.unarchived },
        'logs went with a machine before they could be archived; what the bus has of them is all there is',
      )
  }

  /** What the listing says of a machine that is to go. */
  async function look(machine: Machine, listing: Listing): Promise<void> {
    const { nodeId } = machine
    const server = serverOf(listing, machine)
    if (!server) return end(machine, listing)
    deps.servers.expectChange()
    // What it cost is to be known, also of one whose order was never answered.
    if (machine.serverId === null) await db.transaction((tx) => recordServer(tx, nodeId, { ...server, hourMicrons: machine.hourMicrons }, null))
    if (!isStuck(machine, server, listing)) return
    await db.transaction((tx) => withdrawRemoval(tx, nodeId))
    log.warn({ nodeId, serverId: server.id }, 'a machine whose deletion was ordered is still there; it is paid for, and its deletion ordered again')
  }

  function watchBoot(machines: readonly Machine[]): void {
    for (const { nodeId, state, bootSeconds } of machines) {
      if (state === 'booting') booting.add(nodeId)
      else if (booting.delete(nodeId) && bootSeconds !== null) deps.meters.booted(Math.max(0, bootSeconds))
    }
  }

  return async (signal) => {
    if (!deps.isLeader()) return
    const machines = await listMachines(db, cloud.provider)
    watchBoot(machines)
    for (const machine of machines) {
      const seconds = machine.stateAgeMs() / 1000
      if (machine.state === 'booting' && seconds > patience.enrolSeconds) await giveUp(machine, `it did not enrol within ${patience.enrolSeconds} s`)
      if (machine.state === 'lost' && seconds > patience.lostSeconds) await giveUp(machine, `it was not heard for ${patience.lostSeconds} s`)
      if (machine.state === 'creating' && seconds > patience.enrolSeconds + ORDER_MS / 1000) await giveUp(machine, 'its order was never answered')
    }
    const deleting = machines.filter(({ state }) => state === 'deleting')
    const underWay = machines.filter(({ state }) => state === 'booting')
    const listing = deleting.length + underWay.length === 0 ? undefined : await deps.servers.read(signal)
    if (!listing) return
    for (const machine of underWay) await looksBroken(machine, listing)
    for (const machine of deleting) {
      await look(machine, listing).catch((error: unknown) =>
        log.warn({ nodeId: machine.nodeId, error: errorText(error) }, 'a machine was not looked at; trying again'),
      )
    }
  }
}

/** Whether a machine is still there, in a listing that was asked for when the order to delete it should have shown. */
function isStuck(machine: Machine, server: Server, listing: Listing): boolean {
  const takenMs = machine.removalAgeMs()
  return takenMs !== null && takenMs - listing.ageMs() > (server.status === 'deleting' ? HANGS_MS : SHOWS_MS)
}
