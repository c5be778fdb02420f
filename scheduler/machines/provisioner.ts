import { errorText } from '#core/errors.ts'
import { monotonicMs, nowMs } from '#core/service/time.ts'
import { countedMachines } from '#store/machine-counts.ts'
import { beginOrder, failUnmade, listMachines, lockMachines, type Machine, type MachineKind, recordServer, returnToPlanned } from '#store/machines.ts'
import { clearCellFault, pauseBuying, readScaling, recordCellFault } from '#store/scaling.ts'
import { CLOUD_ERRORS, CloudError, type Offer, type Priced, type Server } from '../cloud/cloud.ts'
import { capFault, takeStock } from './caps.ts'
import type { MachineDeps } from './deps.ts'
import { nextOffer, sameCell } from './offers.ts'
import { type Listing, serverOf } from './servers.ts'

/** Orders that are under way at once. */
const PARALLEL = 4
/** A token outlives the enrolment time by what an order may take. */
const ORDER_SECONDS = 120
const AWAY_SECONDS = 15
const RATE_SECONDS = 60
/** An order of which nothing is known is looked for, and repeated, so often. */
const AGAIN_MS = 10_000
/** People must look first. */
const REFUSED_SECONDS = 300

type Begun = { id: string; token: string } | { shortage: { code: string; detail: string } } | undefined
/** `done`: on to the next one. `stop`: nothing more in this round. An offer: try that instead. */
type Next = 'done' | 'stop' | { instead: Priced | undefined }

/**
 * Makes machines of rows: planned → creating → booting. The row is creating before the provider hears of it, so a machine
 * never is without a row; one that is found creating was left by a process that died, or by an answer that did not come: it is
 * looked for by its name, and ordered again under the same name if it is not there.
 */
export function createProvisioner(deps: MachineDeps): (signal: AbortSignal) => Promise<void> {
  const { db, cloud, log } = deps
  /** Orders without a clear answer: when each may be repeated. */
  const againAtMs = new Map<string, number>()

  async function begin(machine: Machine, kind: MachineKind, listing: Listing, offers: readonly Offer[]): Promise<Begun> {
    return db.transaction(async (tx) => {
      await lockMachines(tx)
      const fault = capFault(takeStock(await countedMachines(tx), listing.servers, offers, false, machine.name), kind, deps.caps)
      return fault ? { shortage: fault } : beginOrder(tx, machine.nodeId, kind, deps.patience.enrolSeconds + ORDER_SECONDS)
    })
  }

  async function record(machine: Machine, server: Server, offers: readonly Offer[], tokenId: string | null): Promise<void> {
    const hourMicrons = offers.find((offer) => sameCell(offer, server))?.hourMicrons ?? machine.hourMicrons
    const known = await db.transaction((tx) => recordServer(tx, machine.nodeId, { ...server, hourMicrons }, tokenId))
    if (!known) return
    if (tokenId === null)
      log.warn({ nodeId: machine.nodeId, serverId: server.id, from: 'creating', to: 'booting' }, 'a machine that was ordered before is adopted')
    else log.info({ nodeId: machine.nodeId, serverId: server.id, cell: cellText(server), from: 'creating', to: 'booting' }, 'machine bought')
    deps.meters.bought()
    await clearCellFault(db, cloud.provider, server)
  }

  async function stopBuying(machine: Machine, error: CloudError, seconds: number, end: 'planned' | 'failed' | 'creating'): Promise<Next> {
    await db.transaction(async (tx) => {
      if (end === 'planned') await returnToPlanned(tx, machine.nodeId)
      if (end === 'failed') await failUnmade(tx, machine.nodeId, error.message)
      await pauseBuying(tx, cloud.provider, { code: error.kind, detail: error.message }, seconds)
    })
    const level = error.kind === 'refused' ? 'error' : 'warn'
    log[level]({ nodeId: machine.nodeId, from: 'creating', to: end, code: error.code, error: error.message }, 'buying stops for a while')
    return 'stop'
  }

  async function answerFault(
    machine: Machine,
    kind: MachineKind,
    tried: MachineKind[],
    error: CloudError,
    offers: readonly Offer[],
    signal: AbortSignal,
  ): Promise<Next> {
    const { nodeId } = machine
    switch (error.kind) {
      case 'no_capacity': {
        const instead = nextOffer(offers, machine, [...tried, kind])
        await db.transaction(async (tx) => {
          await recordCellFault(tx, cloud.provider, kind, error, deps.patience.cellSeconds)
          if (instead) await returnToPlanned(tx, nodeId)
          else await failUnmade(tx, nodeId, `no cell has such a machine; the last, ${cellText(kind)}, said: ${error.message}`)
        })
        log.warn({ nodeId, cell: cellText(kind), from: 'creating', to: instead ? 'planned' : 'failed', code: error.code }, 'a cell has no machine')
        return { instead }
      }
      case 'limit':
        return stopBuying(machine, error, deps.patience.limitSeconds, 'planned')
      case 'rate_limited':
        return stopBuying(machine, error, secondsUntil(error.retryAtMs) ?? RATE_SECONDS, 'planned')
      case 'refused':
        return stopBuying(machine, error, REFUSED_SECONDS, 'failed')
      case 'away':
        return stopBuying(machine, error, AWAY_SECONDS, 'creating')
      case 'busy':
        againAtMs.set(nodeId, monotonicMs() + AGAIN_MS)
        return 'done'
      case 'exists':
      case 'unknown_outcome': {
        againAtMs.set(nodeId, monotonicMs() + AGAIN_MS)
        const listing = await deps.servers.fresh(signal)
        const server = listing && serverOf(listing, machine)
        if (server) await record(machine, server, offers, null)
        else log.warn({ nodeId, code: error.code }, 'it is not known whether a machine was bought; it is looked for')
        return 'done'
      }
    }
  }

  /** Until a cell gives the machine, or there is none left. */
  async function order(machine: Machine, listing: Listing, offers: readonly Offer[], signal: AbortSignal): Promise<'done' | 'stop'> {
    const tried: MachineKind[] = []
    let kind: MachineKind = offers.some((offer) => sameCell(offer, machine) && !offer.available) ? (nextOffer(offers, machine, []) ?? machine) : machine
    for (;;) {
      if (!deps.isLeader() || signal.aborted) return 'stop'
      const begun = await begin(machine, kind, listing, offers)
      if (begun === undefined) return 'done'
      if ('shortage' in begun && begun.shortage.code === 'max_spend') {
        // The cell that was meant has nothing, and this one is too dear: a cheaper one, or none, and the planner thinks anew.
        tried.push(kind)
        const cheaper = nextOffer(cheaperThan(kind, offers), machine, tried)
        if (cheaper) {
          kind = cheaper
          continue
        }
        await db.transaction((tx) => failUnmade(tx, machine.nodeId, begun.shortage.detail))
        log.warn({ nodeId: machine.nodeId, cell: cellText(kind), to: 'failed', detail: begun.shortage.detail }, 'a machine that is planned would cost too much')
        return 'done'
      }
      if ('shortage' in begun) {
        await pauseBuying(db, cloud.provider, begun.shortage, AWAY_SECONDS)
        log.warn({ nodeId: machine.nodeId, code: begun.shortage.code, detail: begun.shortage.detail }, 'a machine that is planned would be too many')
        return 'stop'
      }
      const { nodeId, name, pool } = machine
      const userData = deps.userData({ name, pool, token: begun.token }, kind)
      let next: Next
      try {
        const { serverType, location } = kind
        const server = await cloud.create({ nodeId, name, pool, serverType, location, userData }, signal)
        await record(machine, server, offers, begun.id)
        return 'done'
      } catch (error) {
        if (!(error instanceof CloudError)) throw error
        next = await answerFault(machine, kind, tried, error, offers, signal)
      }
      if (next === 'done' || next === 'stop') return next
      if (!next.instead) return 'done'
      tried.push(kind)
      kind = next.instead
    }
  }

  return async (signal) => {
    if (!deps.isLeader()) return
    const machines = (await listMachines(db, cloud.provider)).filter(
      ({ state, serverId }) => (state === 'planned' || state === 'creating') && serverId === null,
    )
    const due = machines.filter(({ nodeId }) => (againAtMs.get(nodeId) ?? 0) <= monotonicMs())
    if (due.length === 0) return
    const halfDone = due.filter(({ state }) => state === 'creating')
    const listing = halfDone.length > 0 ? await deps.servers.fresh(signal) : await deps.servers.read(signal)
    for (const { nodeId } of halfDone) againAtMs.set(nodeId, monotonicMs() + AGAIN_MS)
    const offers = await deps.offers.read(signal)
    if (!listing || !offers) return
    const wanted: Machine[] = []
    for (const machine of due) {
      const server = serverOf(listing, machine)
      if (server && machine.state === 'creating') await record(machine, server, offers, null)
      else wanted.push(machine)
    }
    const scaling = await readScaling(db, cloud.provider)
    if (scaling && scaling.pausedMs > 0) return
    // After a pause one order is enough to know whether there is use in more.
    const parallel = scaling?.shortage && isCloudError(scaling.shortage.code) ? 1 : PARALLEL
    let stopped = false
    const work = async () => {
      for (let machine = wanted.shift(); machine && !stopped; machine = wanted.shift()) {
        const failed = (error: unknown) => log.warn({ nodeId: machine?.nodeId, error: errorText(error) }, 'a machine was not ordered; trying again')
        if ((await order(machine, listing, offers, signal).catch(failed)) === 'stop') stopped = true
      }
    }
    await Promise.all(Array.from({ length: parallel }, work))
  }
}

function secondsUntil(atMs: number | null): number | null {
  return atMs === null ? null : Math.max(1, (atMs - nowMs()) / 1000)
}

function cheaperThan({ hourMicrons }: MachineKind, offers: readonly Offer[]): Offer[] {
  return offers.filter((offer) => offer.hourMicrons !== null && offer.hourMicrons < hourMicrons)
}

function isCloudError(code: string): boolean {
  return (CLOUD_ERRORS as readonly string[]).includes(code)
}

function cellText(cell: { serverType: string; location: string }): string {
  return `${cell.serverType}@${cell.location}`
}
