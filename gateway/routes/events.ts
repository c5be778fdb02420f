import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { RGridError, validationError } from '#core/errors.ts'
import { EVENT_TYPES, type EventType } from '#core/event-types.ts'
import { projectHas } from '#store/job-query.ts'
import { inQueried } from '../access/access.ts'
import { dbOf, depsOf, principalOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { openEventStream, parseEventId } from '../event-stream.ts'
import { sendEvents } from '../sse.ts'

const TYPE = `(${EVENT_TYPES.map((type) => type.replace('.', '\\.')).join('|')})`
const TypeList = Type.String({ pattern: `^${TYPE}(,${TYPE})*$` })
const Query = Type.Object(
  {
    project: Type.Optional(Type.String({ description: 'the slug of the project; that of the key when absent' })),
    job: Type.Optional(Type.String({ description: 'only events of this job' })),
    batch: Type.Optional(Type.String({ description: 'only events of this batch and its jobs' })),
    type: Type.Optional(
      Type.Union([TypeList, Type.Array(TypeList)], { description: `only these, separated by commas or repeated: ${EVENT_TYPES.join(', ')}` }),
    ),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'also those from this time on (RFC 3339); without it those from now on' })),
  },
  { additionalProperties: false },
)

const ANSWER = {
  description: 'Server-sent events: `ready` once nothing more is missed; then each event, a CloudEvent in JSON; `reset` when the state must be read anew',
  content: { 'text/event-stream': { schema: Type.String() } },
}

/** What happens to jobs and batches, as it happens. */
export const eventRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps, stopping }) => {
  app.get(
    '/events',
    {
      ...inQueried('jobs:read'),
      exposeHeadRoute: false,
      schema: { summary: 'Follow what happens to jobs and batches', querystring: Query, response: { 200: ANSWER } },
    },
    async (request, reply) => {
      const { query } = request
      const principal = principalOf(request)
      for (const kind of ['job', 'batch'] as const) {
        const id = query[kind]
        if (id !== undefined && !(await projectHas(dbOf(request), principal.projectId, kind, id)))
          throw new RGridError('not_found', `there is no ${kind} ${id} in this project`)
      }
      const last = request.headers['last-event-id']
      const lastId = last === undefined || last === '' ? undefined : parseEventId(String(last))
      if (last !== undefined && last !== '' && !lastId)
        throw validationError([{ path: 'Last-Event-ID', message: 'is not the id of an event of this stream; send the one that came with the last event' }])
      const types = query.type === undefined ? undefined : ([query.type].flat().flatMap((list) => list.split(',')) as EventType[])
      const sinceMs = query.since === undefined ? undefined : Date.parse(query.since)
      // Before anything is answered: what happens after the first byte is not missed, and a bus that is away is a 503.
      const events = await openEventStream(depsOf(deps, request), principal, { jobId: query.job, batchId: query.batch, types, sinceMs, lastId })
      return sendEvents(request, reply, stopping, events)
    },
  )
}
