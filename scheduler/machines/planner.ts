import type { NodeState } from '#core/node.ts'
import { countedMachines, failedBoots } from '#store/machine-counts.ts'
import { failPlanned, failUnmade, insertPlanned, lockMachines, planDrain, planResume, recordVerdicts, startDeleting } from '#store/machines.ts'
import { pauseBuying, readScaling, recordDecision } from '#store/scaling.ts'
import type { Offer } from '../cloud/cloud.ts'
import { roomFor } from '../plan/choose.ts'
import type { MachinePlan, PlanInput, Policy, Verdict } from '../plan/plan.ts'
import { type BootTrouble, bootTrouble } from './boot-trouble.ts'
import { capFault, leftToSpend, takeStock } from './caps.ts'
import type { MachineDeps } from './deps.ts'
import type { Facts } from './facts.ts'
import { waitForLogs } from './log-wait.ts'

/** The planner's loop also reads facts, asks for the plan, and tells nodes. */
export interface PlannerDeps extends MachineDeps {
  facts: { read(): Promise<Facts> }
  plan(input: PlanInput): MachinePlan
  policy: Omit<Policy, 'bootSeconds'>
  /** May be lost: the node's next renewal says it again. */
  tell(nodeId: string, what: 'drain' | 'resume'): void
}

/** What a boot takes until one was measured. */
const BOOT_SECONDS = 60
const NONE = { planned: 0, hourMicrons: 0 }
const COMING: readonly NodeState[] = ['planned', 'creating', 'booting']
const REMOVABLE = ['booting', 'ready', 'draining', 'lost'] as const satisfies readonly NodeState[]

/**
 * Decides what machines there are to be, and writes it into their rows: nothing here speaks with the provider. A plan is no
 * more than a wish: each change has its own guard, so one that was overtaken changes nothing.
 */
export function createPlanner(deps: PlannerDeps): (signal: AbortSignal) => Promise<void> {
  const { db, log, cloud } = deps

  async function drain({ nodeId, reason }: Verdict): Promise<void> {
    if (!(await planDrain(db, nodeId))) return
    log.info({ nodeId, from: 'ready', to: 'draining', why: reason }, 'a node is drained')
    deps.tell(nodeId, 'drain')
  }

  async function resume({ nodeId, reason }: Verdict): Promise<void> {
    if (!(await planResume(db, nodeId))) return
    log.info({ nodeId, from: 'draining', to: 'ready', why: reason }, 'a node takes work again')
    deps.tell(nodeId, 'resume')
  }

  async function remove({ nodeId, reason }: Verdict, state: NodeState | undefined): Promise<void> {
    const done = await db.transaction((tx) => {
      if (state === 'planned') return failUnmade(tx, nodeId, reason)
      const cameUp = state !== 'creating' && state !== 'booting'
      return startDeleting(tx, nodeId, state === 'creating' ? ['creating'] : REMOVABLE, cameUp ? { verdict: reason } : { failure: reason })
    })
    if (done) log.info({ nodeId, from: state, to: state === 'planned' ? 'failed' : 'deleting', why: reason }, 'a machine is not wanted any more')
  }

  /** As many as the caps leave room for, whatever was planned; returns how many. */
  async function create(wanted: MachinePlan['create'], offers: readonly Offer[], signal: AbortSignal): Promise<{ planned: number; hourMicrons: number }> {
    if (wanted.length === 0) return NONE
    const listing = await deps.servers.read(signal)
    return db.transaction(async (tx) => {
      await lockMachines(tx)
      const stock = takeStock(await countedMachines(tx), listing?.servers ?? [], offers, true)
      let planned = 0
      const before = stock.hourMicrons
      for (const { offer, count } of wanted) {
        for (let i = 0; i < count && capFault(stock, offer, deps.caps) === null; i++) {
          const nodeId = await insertPlanned(tx, cloud.provider, deps.pool, offer, deps.nameOf)
          log.info({ nodeId, cell: `${offer.serverType}@${offer.location}`, to: 'planned' }, 'a machine is wanted')
          stock.machines++
          stock.hourMicrons += offer.hourMicrons
          planned++
        }
      }
      return { planned, hourMicrons: stock.hourMicrons - before }
    })
  }

  /** Stops buying, if machines fail to come up and it is not time to try one. */
  async function restFrom(trouble: BootTrouble, pausedMs: number): Promise<boolean> {
    if (trouble.pauseSeconds === 0) return false
    if (trouble.pauseSeconds * 1000 > pausedMs) await pauseBuying(db, cloud.provider, { code: 'boot_failing', detail: trouble.detail }, trouble.pauseSeconds)
    const dropped = await failPlanned(db, cloud.provider, `not ordered: ${trouble.detail}`)
    if (dropped > 0) log.error({ why: trouble.detail }, 'machines do not come up: buying rests')
    return true
  }

  return async (signal) => {
    if (!deps.isLeader()) return
    const known = await deps.offers.read(signal)
    const scaling = await readScaling(db, cloud.provider)
    const trouble = bootTrouble(await failedBoots(db, cloud.provider))
    const resting = trouble !== null && (await restFrom(trouble, scaling?.pausedMs ?? 0))
    const facts = await deps.facts.read()
    const paused = resting || (scaling?.pausedMs ?? 0) > 0 || known === undefined
    // While nothing can be bought, what is only planned is not coming: the plan is to make do with what there is.
    const offers = (known ?? []).map((offer) => (paused ? { ...offer, available: false } : offer))
    const nodes = paused ? facts.nodes.filter(({ state }) => state !== 'planned') : facts.nodes
    const bootSeconds = facts.bootSeconds ?? BOOT_SECONDS
    const { nowMs, waiting } = facts
    const counted = await countedMachines(db)
    const comes = nodes.some(({ state }) => COMING.includes(state))
    const policy = {
      ...deps.policy,
      bootSeconds,
      maxHourMicrons: leftToSpend(deps.policy.maxHourMicrons, counted),
      burst: trouble === null ? deps.policy.burst : comes ? 0 : 1,
    }
    const wish = deps.plan({ nowMs, waiting, nodes, offers, policy, boughtAtMs: scaling?.boughtAtMs ?? null })
    const plan = await waitForLogs(db, log, wish)
    for (const verdict of plan.resume) await resume(verdict)
    for (const verdict of plan.drain) await drain(verdict)
    for (const verdict of plan.remove) await remove(verdict, nodes.find(({ nodeId }) => nodeId === verdict.nodeId)?.state)
    const bought = paused || !deps.isLeader() ? NONE : await create(plan.create, offers, signal)
    await recordVerdicts(db, [...plan.keep, ...plan.drain, ...plan.resume, ...plan.remove])
    const shortage = known === undefined ? { code: 'away', detail: 'the provider does not say what it offers' } : shortageOf(plan, trouble)
    // What is planned in this round is spent already.
    const leftMicrons = policy.maxHourMicrons === null ? null : roomFor(nodes, policy).microns - bought.hourMicrons
    await recordDecision(db, cloud.provider, { missingSlots: plan.missingSlots, shortage, bootSeconds, bought: bought.planned > 0, leftMicrons })
  }
}

function shortageOf(plan: MachinePlan, trouble: BootTrouble | null): { code: string; detail: string } | null {
  return trouble !== null && plan.shortage?.code === 'burst' ? { code: 'boot_failing', detail: trouble.detail } : plan.shortage
}
