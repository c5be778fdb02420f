import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { wakeNodes } from '#bus/wake.ts'
import { CancelResult, JobDetail, JobPage, JobView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { JobSpec } from '#core/job/spec.ts'
import { JOB_STATES } from '#core/job/state.ts'
import { validateJob } from '#core/job/validate.ts'
import { cancelJob } from '#store/job-cancel.ts'
import { listJobs, readJob, readJobView } from '#store/job-query.ts'
import { insertJob } from '#store/job-submit.ts'
import type { GatewayDeps } from '../deps.ts'
import { afterCancel, checkFiles, checkProject, decodeCursor, encodeCursor } from '../job-commands.ts'
import { principalOf, principalOfProject } from '../plugins/auth.ts'
import { checkWebhook } from '../webhook-checks.ts'

const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })
const ListQuery = Type.Object(
  {
    state: Type.Optional(
      Type.String({ pattern: `^(${JOB_STATES.join('|')})(,(${JOB_STATES.join('|')}))*$`, description: 'one or more states, separated by commas' }),
    ),
    batch: Type.Optional(Type.String()),
    name: Type.Optional(Type.String()),
    label: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())], { description: 'key=value; may be repeated' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
    cursor: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)

/** Submit, list, get and cancel jobs. */
export const jobRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  app.post(
    '/projects/:slug/jobs',
    { schema: { summary: 'Submit a job', params: Slug, body: Type.Unsafe<unknown>(JobSpec), response: { 201: JobView } }, validatorCompiler: () => () => true },
    async (request, reply) => {
      const principal = principalOfProject(request, request.params.slug)
      const job = validateJob(request.body, deps.runtimes)
      checkProject(principal, job.project)
      await checkFiles(deps, principal, [job], (_, input) => `spec.files.inputs.${input}`)
      await checkWebhook(deps, principal, [job], 'spec.webhook')
      const { id, queued } = await deps.db.transaction((tx) => insertJob(tx, principal, job))
      if (queued) wakeNodes(deps.bus, 1)
      const view = await readJobView(deps.db, principal.projectId, id)
      if (!view) throw new RGridError('internal', `job ${id} was stored and is not there`)
      return reply.code(201).header('location', `/v1/jobs/${id}`).send(view)
    },
  )

  app.get(
    '/projects/:slug/jobs',
    { schema: { summary: 'List jobs, newest first; those of a batch in its order', params: Slug, querystring: ListQuery, response: { 200: JobPage } } },
    async (request) => {
      const principal = principalOfProject(request, request.params.slug)
      const { state, batch, name, label, limit, cursor } = request.query
      const { items, next } = await listJobs(deps.db, principal.projectId, {
        states: state?.split(','),
        batchId: batch,
        name,
        labels: parseLabels(label),
        after: cursor === undefined ? undefined : decodeCursor(cursor),
        limit: limit ?? 50,
      })
      return { items, nextCursor: next === null ? null : encodeCursor(next) }
    },
  )

  app.get('/jobs/:id', { schema: { summary: 'A job with its attempts', params: Id, response: { 200: JobDetail } } }, async (request) => {
    const job = await readJob(deps.db, principalOf(request).projectId, request.params.id)
    if (!job) throw noJob(request.params.id)
    return job
  })

  app.post('/jobs/:id/cancel', { schema: { summary: 'Cancel a job', params: Id, response: { 200: CancelResult } } }, async (request) => {
    const { projectId } = principalOf(request)
    const { id } = request.params
    const cancelled = await deps.db.transaction((tx) => cancelJob(tx, projectId, id))
    if (cancelled) return afterCancel(deps, cancelled)
    const job = await readJobView(deps.db, projectId, id)
    if (!job) throw noJob(id)
    throw new RGridError('conflict', `job ${id} has ended already: ${job.state}`)
  })
}

/** The error for a job that is not there, or not the caller's. */
export function noJob(id: string): RGridError {
  return new RGridError('not_found', `there is no job ${id} in this project`)
}

function parseLabels(label: string | string[] | undefined): Record<string, string> {
  const labels: Record<string, string> = {}
  for (const pair of label === undefined ? [] : [label].flat()) {
    const at = pair.indexOf('=')
    if (at < 1) throw new RGridError('validation', `label: "${pair}" is not key=value`, { issues: [{ path: 'label', message: 'must be key=value' }] })
    labels[pair.slice(0, at)] = pair.slice(at + 1)
  }
  return labels
}
