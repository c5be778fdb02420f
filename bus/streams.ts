import { DiscardPolicy, nanos, RetentionPolicy, StorageType, type StreamConfig } from 'nats'
import type { Bus } from './bus.ts'
import { ANY_EVENT, ANY_LOG } from './subjects.ts'

/** The stream of live logs; finished logs are in object storage. */
export const LOG_STREAM = 'RGRID_LOGS'

/** The stream of lifecycle events. */
export const EVENT_STREAM = 'RGRID_EVENTS'

const HOUR_MS = 3_600_000

/** What the stream of live logs may hold. */
export interface LogStreamLimits {
  bytes: number
  hours: number
}

const DEFAULT_LIMITS: LogStreamLimits = { bytes: 4 * 1024 ** 3, hours: 48 }

function streamConfigs(logs: LogStreamLimits): Partial<StreamConfig>[] {
  const common = { retention: RetentionPolicy.Limits, storage: StorageType.File, discard: DiscardPolicy.Old, num_replicas: 1, allow_direct: true }
  return [
    // A short duplicate window: the server keeps an entry in memory for each message in it, and readers drop repeats by sequence.
    { ...common, name: LOG_STREAM, subjects: [ANY_LOG], max_age: nanos(logs.hours * HOUR_MS), max_bytes: logs.bytes, duplicate_window: nanos(1000) },
    { ...common, name: EVENT_STREAM, subjects: [ANY_EVENT], max_age: nanos(30 * 24 * HOUR_MS), max_bytes: 1024 ** 3, duplicate_window: nanos(10 * 60 * 1000) },
  ]
}

/** Creates the streams that are missing. With `limits` brings the others up to date. Safe to run from several processes at once. */
export async function ensureStreams(bus: Bus, limits?: LogStreamLimits): Promise<void> {
  const manager = await bus.manager()
  for (const config of streamConfigs(limits ?? DEFAULT_LIMITS)) {
    const name = config.name as string
    const exists = await manager.streams.info(name).then(
      () => true,
      (error: { code?: string }) => {
        if (error.code === '404') return false
        throw error
      },
    )
    if (!exists) await manager.streams.add(config)
    else if (limits) await manager.streams.update(name, config)
  }
}
