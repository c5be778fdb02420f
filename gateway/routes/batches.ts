import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { wakeNodes } from '#bus/wake.ts'
import { BatchView, CancelResult } from '#core/api.ts'
import { BatchSpec } from '#core/batch.ts'
import { RGridError } from '#core/errors.ts'
import type { ValidJob } from '#core/job/validate.ts'
import { type ValidHead, validateBatch } from '#core/job/validate-batch.ts'
import { worstCase } from '#core/money.ts'
import { cancelBatch } from '#store/job-cancel.ts'
import { readBatch } from '#store/job-query.ts'
import { insertBatch } from '#store/job-submit.ts'
import type { Db, Tx } from '#store/pool.ts'
import { inProject, ofObject } from '../access/access.ts'
import { dbOf, depsOf, principalOf, requireStillAllowed } from '../access/authorise.ts'
import { audit } from '../audit.ts'
import { createPlaces } from '../bulk/places.ts'
import { receiveBatch } from '../bulk/receive-batch.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { afterCancel, checkFiles, checkProject, findMissingFiles } from '../job-commands.ts'
import { checkBatchSize, checkSize, requireRoom, tellRefusal } from '../limits/admission.ts'
import { revalidated } from '../plugins/revalidation.ts'
import { traceOf } from '../plugins/trace.ts'
import { checkSecrets, findMissingSecrets } from '../secret-checks.ts'
import { checkWebhook } from '../webhook-checks.ts'

const MAX_BODY_BYTES = 64 * 2 ** 20
const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })
const SUBMIT = {
  summary: 'Submit a batch: a template and its items, as one document or as NDJSON',
  description:
    'As application/x-ndjson the first line is the batch without its items, each further line one item: up to 100,000 are taken in one request. Nothing is stored when a line is wrong; the answer names it by its number.',
  params: Slug,
  body: Type.Unsafe<unknown>(BatchSpec),
  response: { 201: BatchView },
}

/** Submit, get and cancel batches. */
export const batchRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps, known }) => {
  const places = createPlaces()
  // Read by the route itself, line by line.
  app.addContentTypeParser('application/x-ndjson', (_, payload, done) => done(null, payload))

  async function submit(request: FastifyRequest, batch: ValidHead, size: number, jobs: () => Iterable<ValidJob> | AsyncIterable<ValidJob>, digest?: string) {
    const principal = principalOf(request)
    await checkWebhook(depsOf(deps, request), principal, batch.template, 'template.webhook')
    const limits = await known.of(principal.accountId, principal.projectId)
    checkBatchSize(limits, size)
    checkSize(limits, batch.template, 'template')
    const { jobMicrons } = worstCase(batch.template, deps.slotHourMicrons)
    const demand = { jobs: size, microns: size * jobMicrons }
    const store = async (tx: Tx) => {
      await requireRoom(tx, request, limits, demand)
      const { id } = await insertBatch(tx, principal, { ...batch, size }, jobs(), { slotHourMicrons: deps.slotHourMicrons, trace: traceOf(request) ?? null })
      await audit(tx, request, 'batch.submit', id, { items: size })
      return { body: await existing(tx, principal.projectId, id), location: `/v1/batches/${id}` }
    }
    // Until here it may have taken long: a stream to come in, a large document to be checked.
    await requireStillAllowed(request)
    const answer = await tellRefusal(request, limits, demand, () => once(deps, request, store, digest))
    wakeNodes(deps.bus, answer.body.counts.queued)
    return answer
  }

  async function submitStream(request: FastifyRequest, body: Readable) {
    const principal = principalOf(request)
    const received = await receiveBatch(body, deps.runtimes, async (jobs, head, lineOf) => {
      await requireStillAllowed(request)
      checkProject(principal, head.project)
      const missing = await Promise.all([
        findMissingFiles(depsOf(deps, request), principal, jobs, (job, input) =>
          input < head.sharedInputs ? `lines.1.template.files.inputs.${input}` : `lines.${lineOf(job)}.inputs.${input - head.sharedInputs}`,
        ),
        findMissingSecrets(depsOf(deps, request), principal, jobs, (job, variable) =>
          isOfTemplate(head, jobs[job], variable) ? `lines.1.template.env.${variable}` : `lines.${lineOf(job)}.env.${variable}`,
        ),
      ])
      return missing.flat()
    })
    try {
      return await submit(request, received.head, received.size, () => received.jobs(), received.digest)
    } finally {
      await received.close()
    }
  }

  app.post(
    '/projects/:slug/batches',
    { ...inProject('jobs:write'), bodyLimit: MAX_BODY_BYTES, schema: SUBMIT, validatorCompiler: () => () => true },
    async (request, reply) => {
      const principal = principalOf(request)
      const { body } = request
      if (body instanceof Readable) return sendAnswer(reply, await places.within(principal.accountId, () => submitStream(request, body)))
      const batch = validateBatch(body, deps.runtimes)
      checkProject(principal, batch.project)
      await checkFiles(depsOf(deps, request), principal, batch.jobs, (job, input) =>
        input < batch.sharedInputs ? `template.files.inputs.${input}` : `items.${job}.inputs.${input - batch.sharedInputs}`,
      )
      await checkSecrets(depsOf(deps, request), principal, batch.jobs, (job, variable) =>
        isOfTemplate(batch, batch.jobs[job], variable) ? `template.env.${variable}` : `items.${job}.env.${variable}`,
      )
      return sendAnswer(reply, await submit(request, batch, batch.jobs.length, () => batch.jobs))
    },
  )

  app.get(
    '/batches/:id',
    {
      ...revalidated(ofObject('batch', 'jobs:read')),
      schema: { summary: 'A batch with the number of its jobs in each state', params: Id, response: { 200: BatchView } },
    },
    (request) => existing(dbOf(request), principalOf(request).projectId, request.params.id),
  )

  app.post(
    '/batches/:id/cancel',
    { ...ofObject('batch', 'jobs:write'), schema: { summary: 'Cancel every job of a batch', params: Id, response: { 200: CancelResult } } },
    async (request) => {
      const cancelled = await dbOf(request).transaction(async (tx) => {
        const done = await cancelBatch(tx, principalOf(request).projectId, request.params.id)
        if (done) await audit(tx, request, 'batch.cancel', request.params.id)
        return done
      })
      if (!cancelled) throw noBatch(request.params.id)
      return afterCancel(deps, cancelled)
    },
  )
}

function isOfTemplate({ template }: ValidHead, job: ValidJob | undefined, variable: string): boolean {
  return template.secretEnv?.[variable] === job?.resolved.secretEnv?.[variable]
}

async function existing(db: Db, projectId: string, id: string): Promise<BatchView> {
  const batch = await readBatch(db, projectId, id)
  if (!batch) throw noBatch(id)
  return batch
}

function noBatch(id: string): RGridError {
  return new RGridError('not_found', `there is no batch ${id} in this project`)
}
