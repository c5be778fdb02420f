import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { wakeNodes } from '#bus/wake.ts'
import { CancelResult, JobDetail, JobPage, JobView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { Explanation } from '#core/explain.ts'
import { JobSpec } from '#core/job/spec.ts'
import { validateJob } from '#core/job/validate.ts'
import { JobQuery } from '#core/list-api.ts'
import { cancelJob } from '#store/job-cancel.ts'
import { explainJob, listJobs, readJob, readJobView } from '#store/job-query.ts'
import { prepareJob, storeJobs, viewNewJob } from '#store/new-jobs.ts'
import { inProject, ofObject } from '../access/access.ts'
import { dbOf, depsOf, principalOf } from '../access/authorise.ts'
import { audit, deedOf } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { afterCancel, checkFiles, checkProject } from '../job-commands.ts'
import { checkSize, requireRoom, tellRefusal } from '../limits/admission.ts'
import { positionOf, sendPage } from '../pages.ts'
import { revalidated } from '../plugins/revalidation.ts'
import { traceOf } from '../plugins/trace.ts'
import { checkSecrets } from '../secret-checks.ts'
import { createSubmitDesk } from '../submit-desk.ts'
import { checkWebhook } from '../webhook-checks.ts'

const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })

/** Submit, list, get and cancel jobs. */
export const jobRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps, known }) => {
  const desk = createSubmitDesk((queued) => wakeNodes(deps.bus, queued))

  app.post(
    '/projects/:slug/jobs',
    {
      ...inProject('jobs:write'),
      schema: { summary: 'Submit a job', params: Slug, body: Type.Unsafe<unknown>(JobSpec), response: { 201: JobView } },
      validatorCompiler: () => () => true,
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const job = validateJob(request.body, deps.runtimes)
      checkProject(principal, job.project)
      await checkFiles(depsOf(deps, request), principal, [job], (_, input) => `spec.files.inputs.${input}`)
      await checkSecrets(depsOf(deps, request), principal, [job], (_, variable) => `spec.env.${variable}`)
      await checkWebhook(depsOf(deps, request), principal, job.resolved, 'spec.webhook')
      const limits = await known.of(principal.accountId, principal.projectId)
      checkSize(limits, job.resolved, 'spec')
      const made = prepareJob(job, { slotHourMicrons: deps.slotHourMicrons, trace: traceOf(request) ?? null })
      const deed = deedOf(request, 'job.submit', made.id)
      const location = `/v1/jobs/${made.id}`
      if (request.headers['idempotency-key'] === undefined) {
        const view = await desk.submit({ principal, db: dbOf(request), limits, job: made, deed })
        return reply.code(201).header('location', location).send(view)
      }
      const demand = { jobs: 1, microns: made.reserved }
      const answer = await tellRefusal(request, limits, demand, () =>
        once(deps, request, async (tx) => {
          await requireRoom(tx, request, limits, demand)
          const createdAt = await storeJobs(tx, principal, null, [made], [deed])
          return { body: viewNewJob(made, principal.projectSlug, createdAt), location }
        }),
      )
      if (answer.body.state === 'queued') wakeNodes(deps.bus, 1)
      return sendAnswer(reply, answer)
    },
  )

  app.get(
    '/projects/:slug/jobs',
    {
      ...revalidated(inProject('jobs:read')),
      schema: { summary: 'List jobs, newest first; those of a batch in its order', params: Slug, querystring: JobQuery, response: { 200: JobPage } },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const { state, batch, name, label, limit = 50 } = request.query
      const page = await listJobs(depsOf(deps, request), principal.projectId, {
        states: state?.split(','),
        batchId: batch,
        name,
        labels: parseLabels(label),
        after: positionOf(request, 'number'),
        limit,
      })
      return sendPage(request, reply, page)
    },
  )

  app.get(
    '/jobs/:id',
    { ...revalidated(ofObject('job', 'jobs:read')), schema: { summary: 'A job with its attempts', params: Id, response: { 200: JobDetail } } },
    async (request) => {
      const job = await readJob(depsOf(deps, request), principalOf(request).projectId, request.params.id)
      if (!job) throw noJob(request.params.id)
      return job
    },
  )

  app.get(
    '/jobs/:id/explain',
    {
      ...ofObject('job', 'jobs:read'),
      schema: { summary: 'Why a job is where it is: one reason of a closed list', params: Id, response: { 200: Explanation } },
    },
    async (request) => {
      const explanation = await explainJob(depsOf(deps, request), principalOf(request).projectId, request.params.id)
      if (!explanation) throw noJob(request.params.id)
      return explanation
    },
  )

  app.post(
    '/jobs/:id/cancel',
    { ...ofObject('job', 'jobs:write'), schema: { summary: 'Cancel a job', params: Id, response: { 200: CancelResult } } },
    async (request) => {
      const { projectId } = principalOf(request)
      const { id } = request.params
      const cancelled = await dbOf(request).transaction(async (tx) => {
        const done = await cancelJob(tx, projectId, id)
        if (done) await audit(tx, request, 'job.cancel', id)
        return done
      })
      if (cancelled) return afterCancel(deps, cancelled)
      const job = await readJobView(depsOf(deps, request), projectId, id)
      if (!job) throw noJob(id)
      throw new RGridError('conflict', `job ${id} has ended already: ${job.state}`)
    },
  )
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
