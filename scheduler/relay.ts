import type { Bus } from '#bus/bus.ts'
import { encode } from '#bus/codec.ts'
import { Event } from '#bus/messages/event.ts'
import { eventSubject } from '#bus/subjects.ts'
import { cloudEventType } from '#core/event-types.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { parseTraceContext } from '#core/service/trace-context.ts'
import { clearOutbox, readOutbox, type StoredEvent } from '#store/events.ts'
import type { Db } from '#store/pool.ts'

const BATCH = 500
const ACK_MS = 5000

/**
 * Brings events from the outbox to the bus until none is left. An event may be sent twice, never lost; an event of a job goes
 * only when the one before it was acknowledged, so that they stand in the stream in the order in which they happened.
 * `relayed` is told how many were acknowledged.
 */
export function createRelay(db: Db, bus: Bus, log: Log, isLeader: () => boolean, relayed: (events: number) => void = () => undefined): Loop {
  return createLoop({
    name: 'relay',
    everyMs: 200,
    log,
    async round(signal) {
      while (isLeader() && !signal.aborted) {
        const events = await readOutbox(db, BATCH)
        await relay(db, bus, events, relayed)
        if (events.length < BATCH) return
      }
    },
  })
}

/** Of each job the first event in the first wave, the second one in the second, and so on. */
export function inWaves(events: readonly StoredEvent[]): StoredEvent[][] {
  const waves: StoredEvent[][] = []
  const next = new Map<string, number>()
  for (const event of events) {
    const subject = subjectOf(event)
    const wave = next.get(subject) ?? 0
    next.set(subject, wave + 1)
    waves[wave] ??= []
    waves[wave].push(event)
  }
  return waves
}

/** Publishes wave after wave. What was acknowledged leaves the outbox; throws when something was not. */
async function relay(db: Db, bus: Bus, events: readonly StoredEvent[], told: (events: number) => void): Promise<void> {
  const relayed: number[] = []
  const publish = async (event: StoredEvent) => {
    // JetStream drops repeats by id.
    const msgId = `${aboutOf(event)}:${event.id}`
    await bus.store(subjectOf(event), encode(Event, toCloudEvent(event)), { timeoutMs: ACK_MS, msgId })
    relayed.push(event.id)
  }
  try {
    for (const wave of inWaves(events)) {
      const failed = (await Promise.allSettled(wave.map(publish))).find((result) => result.status === 'rejected')
      if (failed) throw failed.reason
    }
  } finally {
    told(relayed.length)
    if (relayed.length > 0) await clearOutbox(db, relayed)
  }
}

function subjectOf(event: StoredEvent): string {
  return eventSubject(event.accountId, event.projectId, aboutOf(event))
}

/** The job, batch or webhook that an event is about; its project where it is none of them. */
function aboutOf({ jobId, batchId, projectId, data }: StoredEvent): string {
  return jobId ?? batchId ?? (typeof data.webhookId === 'string' ? data.webhookId : projectId)
}

/** The extension for distributed tracing (https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md). */
function traceAttributes(stored: string | null): { traceparent?: string; tracestate?: string } {
  const context = parseTraceContext(stored)
  if (!context) return {}
  return { traceparent: context.traceparent, ...(context.tracestate === null ? {} : { tracestate: context.tracestate }) }
}

/** The event as CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). */
export function toCloudEvent(event: StoredEvent): Event {
  return {
    specversion: '1.0',
    id: String(event.id),
    source: `/projects/${event.projectId}`,
    type: cloudEventType(event.type),
    subject: aboutOf(event),
    time: event.createdAt,
    datacontenttype: 'application/json',
    ...traceAttributes(event.traceContext),
    data: { ...event.data, jobId: event.jobId, batchId: event.batchId },
  }
}
