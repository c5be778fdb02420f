import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { RGridError } from '#core/errors.ts'
import { LogMatch, LogSearchQuery, LogSearchSummary } from '#core/log-search-api.ts'
import { nowMs } from '#core/service/time.ts'
import { readBatch } from '#store/job-query.ts'
import { inProject } from '../access/access.ts'
import { depsOf, principalOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { decodePlace, SEARCH_BUDGET, searchLogs } from '../log/search.ts'
import { UNCOMPRESSED } from '../plugins/compression.ts'

const ONE_DAY_MS = 86_400_000

const ANSWER = {
  description: 'A LogMatch a line; the last line is a LogSearchSummary',
  content: {
    'application/x-ndjson': { schema: Type.Union([LogMatch, LogSearchSummary, Type.Unsafe<Readable>(Type.String())]) },
  },
}

/** Search in the archived logs of a project. */
export const logSearchRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/projects/:slug/logs',
    {
      ...inProject('logs:read'),
      exposeHeadRoute: false,
      ...UNCOMPRESSED,
      schema: { summary: 'Search in archived logs', params: Type.Object({ slug: Type.String() }), querystring: LogSearchQuery, response: { 200: ANSWER } },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const own = depsOf(deps, request)
      const { query, ignoreCase = false, batch, until, stream, limit = 1000, cursor } = request.query
      if (batch !== undefined && !(await readBatch(own.db, principal.projectId, batch)))
        throw new RGridError('not_found', `there is no batch ${batch} in this project`)
      const place = cursor === undefined ? undefined : decodePlace(cursor)
      const since = request.query.since ?? (batch === undefined ? new Date(nowMs() - ONE_DAY_MS).toISOString() : undefined)
      const found = searchLogs(own, principal, { batchId: batch, since, until }, { text: query, ignoreCase, stream }, place, {
        ...SEARCH_BUDGET,
        matches: limit,
      })
      return reply.type('application/x-ndjson').send(Readable.from(toLines(found)))
    },
  )
}

async function* toLines(found: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const one of found) yield `${JSON.stringify(one)}\n`
}
