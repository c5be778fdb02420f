import type { Log } from '#core/service/log.ts'
import type { DatabasePool } from '#store/pool.ts'
import { awaitLogs, endLogWaits, type LogWait } from '#store/unarchived-logs.ts'
import type { MachinePlan, Verdict } from '../plan/plan.ts'
import { clock, count } from '../plan/words.ts'

/**
 * Keeps nodes of a plan that are to be deleted and have logs which could not be archived yet, as after an outage of the object
 * store: the log would go with the node. For a while only; then they go, and what goes with them is said.
 */
export async function waitForLogs(db: DatabasePool, log: Log, plan: MachinePlan): Promise<MachinePlan> {
  await endLogWaits(db)
  if (plan.remove.length === 0) return plan
  const waits = await awaitLogs(
    db,
    plan.remove.map(({ nodeId }) => nodeId),
  )
  const remove: Verdict[] = []
  const keep = [...plan.keep]
  for (const { nodeId, reason } of plan.remove) {
    const wait = waits.get(nodeId)
    if (!wait) remove.push({ nodeId, reason })
    else if (wait.over) remove.push({ nodeId, reason: `${reason}; ${tellLogs(wait)} not archived, and lost with it` })
    else {
      const why = `kept: ${tellLogs(wait)} not archived yet; waits until ${clock(wait.untilMs)}`
      keep.push({ nodeId, reason: why })
      if (wait.began) log.warn({ nodeId, why }, 'a node that is to go is kept until its logs are archived')
    }
  }
  return { ...plan, remove, keep }
}

function tellLogs({ logs }: LogWait): string {
  return `${count(logs, 'log')} ${logs === 1 ? 'is' : 'are'}`
}
