/**
 * What happens to jobs, batches, webhooks and monthly limits (docs/EVENTS.md). On the bus and in the event stream each has the prefix
 * `rgrid.`, as CloudEvents wants a name that is unique in the world.
 */
export const EVENT_TYPES = [
  'job.submitted',
  'job.queued',
  'job.assigned',
  'job.started',
  'job.requeued',
  'job.cancel_requested',
  'job.succeeded',
  'job.failed',
  'job.cancelled',
  'batch.submitted',
  'batch.cancelled',
  'batch.completed',
  'webhook.disabled',
  'spending.threshold',
] as const

/** One of them. */
export type EventType = (typeof EVENT_TYPES)[number]

/** The type as a CloudEvent has it. */
export function cloudEventType(type: string): string {
  return `rgrid.${type}`
}
