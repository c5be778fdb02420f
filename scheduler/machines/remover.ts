import { errorText } from '#core/errors.ts'
import { monotonicMs, nowMs } from '#core/service/time.ts'
import { listMachines, type Machine, recordRemoval } from '#store/machines.ts'
import { CloudError } from '../cloud/cloud.ts'
import type { MachineDeps } from './deps.ts'

/** Deletions that are ordered at once. */
const PARALLEL = 4
/** Each refusal in a row doubles the pause, up to this: what does not get better must not use up the calls. */
const MAX_PAUSE_MS = 60_000

/**
 * Orders the deletion of machines that are to go, each until the provider takes the order. It waits for no listing: one may be
 * long in coming when calls are limited, and by then another hour is paid.
 */
export function createRemover(deps: MachineDeps): (signal: AbortSignal) => Promise<void> {
  const { db, cloud, log } = deps
  /** Orders that were not taken, by node: how often, and when each is given again. */
  const refused = new Map<string, { times: number; againAtMs: number }>()

  function pauseMs(error: unknown, times: number): number {
    if (error instanceof CloudError && error.retryAtMs !== null) return error.retryAtMs - nowMs()
    return Math.min(MAX_PAUSE_MS, deps.patience.againSeconds * 1000 * 2 ** (times - 1))
  }

  async function remove(nodeId: string, serverId: string, signal: AbortSignal): Promise<void> {
    deps.servers.expectChange()
    try {
      await cloud.remove(serverId, signal)
      await db.transaction((tx) => recordRemoval(tx, nodeId))
    } catch (error) {
      signal.throwIfAborted()
      const times = (refused.get(nodeId)?.times ?? 0) + 1
      refused.set(nodeId, { times, againAtMs: monotonicMs() + pauseMs(error, times) })
      log.warn({ nodeId, serverId, error: errorText(error) }, 'a machine was not deleted; trying again')
    }
  }

  return async (signal) => {
    if (!deps.isLeader()) return
    const due = (await listMachines(db, cloud.provider)).filter(isDue)
    for (const nodeId of refused.keys()) if (!due.some((machine) => machine.nodeId === nodeId)) refused.delete(nodeId)
    const now = due.filter(({ nodeId }) => (refused.get(nodeId)?.againAtMs ?? 0) <= monotonicMs())
    const work = async () => {
      for (let machine = now.shift(); machine && deps.isLeader(); machine = now.shift()) await remove(machine.nodeId, machine.serverId, signal)
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
  }
}

function isDue(machine: Machine): machine is Machine & { serverId: string } {
  return machine.state === 'deleting' && machine.serverId !== null && machine.removalAgeMs() === null
}
