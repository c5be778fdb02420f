import { pino } from 'pino'
import type { Service } from '#core/service/run.ts'
import { createLeader, LEADER_KEY } from '#store/lock.ts'

/** Leads as the scheduler of this database does, and does nothing else: jobs wait for a slot and not for a scheduler. Stop it in `after`. */
export async function startLeader(schedulerUrl: string): Promise<Service> {
  const { promise: leads, resolve } = Promise.withResolvers<void>()
  const log = pino({ level: 'info' }, { write: (line: string) => void (line.includes('is the leader now') && resolve()) })
  const leader = createLeader({ url: schedulerUrl, key: LEADER_KEY, log })
  await leader.start()
  await leads
  return leader
}
