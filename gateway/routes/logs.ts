import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import { type JobView, LogBatch, LogEnd, LogStatus } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { projectHas, readJobView, readLogPlaces } from '#store/job-query.ts'
import { ofObject } from '../access/access.ts'
import { dbOf, depsOf, principalOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { type FollowStart, followJob, type LogPosition, POSITION_PATTERN, parsePosition } from '../log/follow.ts'
import { renderNdjson, renderText, renderTimestamped } from '../log/render.ts'
import { sendEvents } from '../sse.ts'
import { sendFrames } from '../web-socket.ts'
import { noJob } from './jobs.ts'

const Id = Type.Object({ id: Type.String() })

const View = {
  attempt: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 100_000, description: 'the latest when absent; followed without tail: the first one, and all after it' }),
  ),
  stream: Type.Optional(Type.Union([Type.Literal('stdout'), Type.Literal('stderr'), Type.Literal('system')], { description: 'only this one' })),
  tail: Type.Optional(Type.Integer({ minimum: 0, maximum: 100_000, description: 'of what is there, only the last so many lines, at most 16 MiB' })),
  since: Type.Optional(Type.String({ format: 'date-time', description: 'only what was written from this time on (RFC 3339), by the node’s clock' })),
}

const Query = Type.Object(
  {
    ...View,
    follow: Type.Optional(Type.Boolean({ default: false, description: 'server-sent events: log, status, end; goes on behind Last-Event-ID' })),
    format: Type.Optional(Type.Union([Type.Literal('text'), Type.Literal('ndjson')])),
    timestamps: Type.Optional(Type.Boolean({ default: false, description: 'as text: the time in front of each line (NDJSON and events always have it)' })),
  },
  { additionalProperties: false },
)
type Query = Static<typeof Query>

const StreamQuery = Type.Object(
  { ...View, after: Type.Optional(Type.String({ pattern: POSITION_PATTERN, description: 'goes on behind the event with this id' })) },
  { additionalProperties: false },
)

const ANSWER = {
  description: 'stdout and stderr as they were written; or a LogBatch a line; or, followed, the events log (LogBatch), status (LogStatus) and end (LogEnd)',
  content: {
    'text/plain': { schema: Type.Unsafe<string | Readable>(Type.String()) },
    'application/x-ndjson': { schema: LogBatch },
    'text/event-stream': { schema: Type.Union([LogBatch, LogStatus, LogEnd]) },
  },
}

/** The log of a job: whole or a part of it, as text or NDJSON, or followed live by server-sent events or over a WebSocket. */
export const logRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps, stopping }) => {
  app.get(
    '/jobs/:id/logs',
    {
      ...ofObject('job', 'logs:read'),
      exposeHeadRoute: false,
      schema: { summary: 'The log of a job', params: Id, querystring: Query, response: { 200: ANSWER } },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const own = depsOf(deps, request)
      const { id } = request.params
      const job = await readJobView(own, principal.projectId, id)
      if (!job) throw noJob(id)
      const { query } = request
      if (query.follow) {
        if (query.timestamps || query.format) throw new RGridError('bad_request', 'follow: events always have their times; leave timestamps and format out')
        const start = startOf(job, query, parsePosition(String(request.headers['last-event-id'] ?? '')))
        return sendEvents(request, reply, stopping, (signal) => followJob(own, principal, id, start, signal))
      }
      const number = query.attempt ?? Math.max(1, job.attemptCount)
      const [place] = await readLogPlaces(own.db, id, number)
      if (query.attempt !== undefined && place?.number !== number)
        throw new RGridError('not_found', `job ${id} has no attempt ${number}; it has had ${job.attemptCount}`)
      const owner = { accountId: principal.accountId, projectId: principal.projectId, jobId: id }
      const asJson = query.format === 'ndjson' || (query.format === undefined && (request.headers.accept ?? '').includes('application/x-ndjson'))
      reply.type(asJson ? 'application/x-ndjson' : 'text/plain; charset=utf-8').header('x-content-type-options', 'nosniff')
      if (!place) return reply.send('')
      const selection = { tail: query.tail, sinceMs: sinceMs(query.since), stream: query.stream ?? (asJson ? undefined : ('output' as const)) }
      const render = asJson ? renderNdjson : query.timestamps ? renderTimestamped : renderText
      return reply.send(Readable.from(await begun<string | Buffer>(render(own, owner, place, selection))))
    },
  )

  app.get(
    '/jobs/:id/logs/stream',
    {
      ...ofObject('job', 'logs:read'),
      websocket: true,
      exposeHeadRoute: false,
      schema: {
        summary: 'The log of a job, followed over a WebSocket',
        description: 'Text frames of JSON: {"event", "id", "data"} with the events of a followed log. Closes with 1000 after `end`.',
        params: Id,
        querystring: StreamQuery,
      },
      // Answered before the protocol is changed, so that a client reads a problem document.
      async preHandler(request) {
        const { id } = request.params as Static<typeof Id>
        if (!(await projectHas(dbOf(request), principalOf(request).projectId, 'job', id))) throw noJob(id)
        if (!request.ws) throw new RGridError('bad_request', 'this is a WebSocket; without one use /v1/jobs/:id/logs?follow=true')
      },
    },
    (socket, request) =>
      sendFrames(request, socket, stopping, async function* (signal) {
        const principal = principalOf(request)
        const job = await readJobView(depsOf(deps, request), principal.projectId, request.params.id)
        if (!job) return
        const start = startOf(job, request.query, parsePosition(request.query.after ?? ''))
        yield* followJob(depsOf(deps, request), principal, job.id, start, signal)
      }),
  )
}

/** Reads the first piece before anything is answered: a log that cannot be read is an error then, not an empty answer. */
async function begun<T>(pieces: AsyncGenerator<T>): Promise<AsyncGenerator<T>> {
  const first = await pieces.next()
  return (async function* () {
    if (first.done) return
    yield first.value
    yield* pieces
  })()
}

/** Where a follower begins. One that comes back goes on where it was, and wants no tail any more. */
function startOf(job: JobView, query: Pick<Query, 'attempt' | 'stream' | 'tail' | 'since'>, position: LogPosition | undefined): FollowStart {
  const view = { stream: query.stream, sinceMs: sinceMs(query.since) }
  if (position) return { ...view, ...position }
  const attempt = query.attempt ?? (query.tail === undefined ? 1 : Math.max(1, job.attemptCount))
  return { ...view, attempt, seq: 0, position: 0, tail: query.tail }
}

function sinceMs(since: string | undefined): number | undefined {
  return since === undefined ? undefined : Date.parse(since)
}
