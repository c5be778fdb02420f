import { type FastifyPluginAsyncTypebox, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { AccountCostQuery, CostQuery, CostReport, Estimate, EstimateQuery, NodeCostQuery, NodeCostReport } from '#core/cost-api.ts'
import { validationError } from '#core/errors.ts'
import { JobSpec } from '#core/job/spec.ts'
import { validateJob } from '#core/job/validate.ts'
import { nowMs } from '#core/service/time.ts'
import { type CostFilter, readCosts, readNodeCosts } from '#store/cost-report.ts'
import { inAccount, inQueried, OPERATORS } from '../access/access.ts'
import { callerOf, dbOf, principalOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { estimateJobs } from '../estimate.ts'
import { checkProject } from '../job-commands.ts'
import { createReportTurns } from '../limits/report-turns.ts'

type Part = Parameters<typeof TypeBoxValidatorCompiler>[0]

/** What jobs and machines cost, and what jobs are likely to. */
export const costRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const inTurn = createReportTurns()

  app.get(
    '/cost',
    {
      ...inQueried('usage:read'),
      schema: { summary: 'What a project cost, by day, batch, job or label', querystring: CostQuery, response: { 200: CostReport } },
    },
    (request) => {
      const { accountId, projectId } = principalOf(request)
      const filter = filterOf(request.query, 'day')
      return inTurn(accountId, () => readCosts(dbOf(request), accountId, projectId, filter))
    },
  )

  app.get(
    '/account/cost',
    {
      ...inAccount('usage:read'),
      schema: { summary: 'What the account cost, by project, day, batch, job or label', querystring: AccountCostQuery, response: { 200: CostReport } },
    },
    (request) => {
      const { accountId } = callerOf(request)
      const filter = filterOf(request.query, 'project')
      return inTurn(accountId, () => readCosts(dbOf(request), accountId, null, filter))
    },
  )

  app.get(
    '/nodes/cost',
    { ...OPERATORS, schema: { summary: 'What machines cost, and what of it nobody used', querystring: NodeCostQuery, response: { 200: NodeCostReport } } },
    (request) => readNodeCosts(dbOf(request), filterOf(request.query, 'day') as CostFilter & { by: 'day' | 'node' | 'type' }),
  )

  app.post(
    '/estimate',
    {
      ...inQueried('usage:read'),
      schema: {
        summary: 'How long a job is likely to take, and what it is likely to cost; nothing is submitted',
        querystring: EstimateQuery,
        body: Type.Unsafe<unknown>(JobSpec),
        response: { 200: Estimate },
      },
      // A document is checked with sentences of its own; what stands in the address as everywhere.
      validatorCompiler: (part: { httpPart?: string }) => (part.httpPart === 'body' ? () => true : TypeBoxValidatorCompiler(part as Part)),
    },
    async (request) => {
      const principal = principalOf(request)
      const job = validateJob(request.body, deps.runtimes)
      checkProject(principal, job.project)
      return inTurn(principal.accountId, () => estimateJobs(dbOf(request), principal.projectId, job.resolved, request.query.jobs ?? 1, deps.slotHourMicrons))
    },
  )
}

/** By default from the first of this month until today. */
function filterOf(query: { by?: string; since?: string; until?: string; limit?: number }, by: string): CostFilter {
  const today = new Date(nowMs()).toISOString().slice(0, 10)
  const until = query.until ?? today
  const since = query.since ?? `${(query.until ?? today).slice(0, 7)}-01`
  if (since > until) throw validationError([{ path: 'since', message: `is after until (${until})` }])
  return { by: query.by ?? by, since, until, limit: query.limit ?? 100 }
}
