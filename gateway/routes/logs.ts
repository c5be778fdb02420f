import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { LogBatch, LogEnd, LogStatus } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import { readJobView, readLogPlaces } from '#store/job-query.ts'
import type { GatewayDeps } from '../deps.ts'
import { followJob, type LogPosition } from '../log-follow.ts'
import { type LogOwner, readLog } from '../log-read.ts'
import { principalOf } from '../plugins/auth.ts'
import { sendEvents } from '../sse.ts'
import { noJob } from './jobs.ts'

const Id = Type.Object({ id: Type.String() })
const Query = Type.Object(
  {
    follow: Type.Optional(Type.Boolean({ default: false, description: 'server-sent events: log, status, end' })),
    attempt: Type.Optional(Type.Integer({ minimum: 1, description: 'the latest when absent; with follow, the one to begin with' })),
    stream: Type.Optional(Type.Union([Type.Literal('stdout'), Type.Literal('stderr'), Type.Literal('system')], { description: 'only this one' })),
    format: Type.Optional(Type.Union([Type.Literal('text'), Type.Literal('ndjson')])),
  },
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

/** The log of a job: whole, as text or NDJSON, or followed live. */
export const logRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps; stopping: AbortSignal }> = async (app, { deps, stopping }) => {
  app.get(
    '/jobs/:id/logs',
    { exposeHeadRoute: false, schema: { summary: 'The log of a job', params: Id, querystring: Query, response: { 200: ANSWER } } },
    async (request, reply) => {
      const principal = principalOf(request)
      const { id } = request.params
      const job = await readJobView(deps.db, principal.projectId, id)
      if (!job) throw noJob(id)
      if (request.query.follow) {
        const from = positionOf(request.headers['last-event-id'], request.query.attempt)
        return sendEvents(request, reply, stopping, (signal) => followJob(deps, principal, id, from, signal))
      }
      const number = request.query.attempt ?? Math.max(1, job.attemptCount)
      const [place] = await readLogPlaces(deps.db, id, number)
      if (request.query.attempt !== undefined && place?.number !== number)
        throw new RGridError('not_found', `job ${id} has no attempt ${number}; it has had ${job.attemptCount}`)
      const owner = { ...principal, jobId: id }
      const asJson =
        request.query.format === 'ndjson' || (request.query.format === undefined && (request.headers.accept ?? '').includes('application/x-ndjson'))
      reply.type(asJson ? 'application/x-ndjson' : 'text/plain; charset=utf-8').header('x-content-type-options', 'nosniff')
      if (!place) return reply.send('')
      return reply.send(Readable.from(await begun<string | Buffer>(asJson ? ndjson(deps, owner, place) : text(deps, owner, place, request.query.stream))))
    },
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

type Place = Parameters<typeof readLog>[2]

async function* ndjson(deps: GatewayDeps, owner: LogOwner, place: Place): AsyncGenerator<string> {
  for await (const { seq, chunks } of readLog(deps, owner, place)) {
    if (chunks.length === 0) continue
    const line: LogBatch = { attempt: place.number, seq, chunks }
    yield `${JSON.stringify(line)}\n`
  }
}

/** stdout and stderr as the job wrote them, in order; what the system says only when it is asked for. */
async function* text(deps: GatewayDeps, owner: LogOwner, place: Place, stream: string | undefined): AsyncGenerator<Buffer> {
  for await (const { chunks } of readLog(deps, owner, place)) {
    for (const chunk of chunks) if (stream === undefined ? chunk.stream !== 'system' : chunk.stream === stream) yield chunkBytes(chunk)
  }
}

function positionOf(lastEventId: string | string[] | undefined, attempt: number | undefined): LogPosition {
  const match = /^(\d{1,6})\.(\d{1,12})$/.exec(String(lastEventId ?? ''))
  return match ? { attempt: Number(match[1]), seq: Number(match[2]) } : { attempt: attempt ?? 1, seq: 0 }
}
