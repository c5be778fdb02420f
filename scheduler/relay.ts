import type { Bus } from '#bus/bus.ts'
import { encode } from '#bus/codec.ts'
import { Event } from '#bus/messages/event.ts'
import { eventSubject } from '#bus/subjects.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { clearOutbox, readOutbox, type StoredEvent } from '#store/events.ts'
import type { Db } from '#store/pool.ts'

const BATCH = 500

/** Brings events from the outbox to the bus, in order, until none is left. An event may be sent twice, never lost. */
export function createRelay(db: Db, bus: Bus, log: Log, isLeader: () => boolean): Loop {
  return createLoop({
    name: 'relay',
    everyMs: 200,
    log,
    async round(signal) {
      while (isLeader() && !signal.aborted) {
        const events = await readOutbox(db, BATCH)
        if (events.length === 0) return
        // Sent one behind the other on one connection, so the stream has them in this order; JetStream drops repeats by id.
        await Promise.all(
          events.map((event) =>
            bus.jetstream.publish(subjectOf(event), encode(Event, toCloudEvent(event)), { msgID: `${event.jobId ?? event.batchId}:${event.id}` }),
          ),
        )
        await clearOutbox(
          db,
          events.map((event) => event.id),
        )
        if (events.length < BATCH) return
      }
    },
  })
}

function subjectOf(event: StoredEvent): string {
  return eventSubject(event.accountId, event.projectId, event.jobId ?? event.batchId ?? 'none')
}

/** The event as CloudEvents 1.0 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md). */
export function toCloudEvent(event: StoredEvent): Event {
  return {
    specversion: '1.0',
    id: String(event.id),
    source: `/projects/${event.projectId}`,
    type: `rgrid.${event.type}`,
    subject: event.jobId ?? event.batchId ?? '',
    time: event.createdAt,
    datacontenttype: 'application/json',
    data: { ...event.data, jobId: event.jobId, batchId: event.batchId },
  }
}
