import { type Static, Type } from '@sinclair/typebox'

/** A lifecycle event, CloudEvents 1.0 in JSON (https://github.com/cloudevents/spec). `type` is such as `rgrid.job.succeeded`. */
export const Event = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: Type.String(),
    source: Type.String(),
    type: Type.String(),
    subject: Type.String(),
    time: Type.String(),
    datacontenttype: Type.Literal('application/json'),
    // https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/distributed-tracing.md
    traceparent: Type.Optional(Type.String()),
    tracestate: Type.Optional(Type.String()),
    data: Type.Record(Type.String(), Type.Unknown()),
  },
  { $id: 'Event' },
)
/** See the schema of the same name. */
export type Event = Static<typeof Event>
