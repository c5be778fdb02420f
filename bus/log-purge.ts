import type { Bus } from './bus.ts'
import { LOG_STREAM } from './streams.ts'
import { logSubject } from './subjects.ts'

/** Takes the live log of an attempt out of the stream. Does nothing when there is none. */
export async function purgeLog(bus: Bus, nodeId: string, attemptId: string): Promise<void> {
  const manager = await bus.manager()
  await manager.streams.purge(LOG_STREAM, { filter: logSubject(nodeId, attemptId) })
}
