import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { wakeNodes } from '#bus/wake.ts'
import { BatchView, CancelResult } from '#core/api.ts'
import { BatchSpec } from '#core/batch.ts'
import { RGridError } from '#core/errors.ts'
import type { ValidJob } from '#core/job/validate.ts'
import type { ValidHead } from '#core/job/validate-batch.ts'
import { worstCase } from '#core/money.ts'
import { cancelBatch } from '#store/job-cancel.ts'
import { readBatch } from '#store/job-query.ts'
import { insertBatch } from '#store/job-submit.ts'
import type { Db, Tx } from '#store/pool.ts'
import { inProject, ofObject } from '../access/access.ts'
import { dbOf, depsOf, principalOf, requireStillAllowed } from '../access/authorise.ts'
import { audit } from '../audit.ts'
import { readBody } from '../bulk/body.ts'
import type { CheckJobs, ReceivedBatch } from '../bulk/intake.ts'
import { type BatchBody, readDocument, takeBatchBodies } from '../bulk/media.ts'
import { createPlaces, type Place } from '../bulk/places.ts'
import { receiveDocument } from '../bulk/receive-document.ts'
import { type LinesDeps, receiveLines } from '../bulk/receive-lines.ts'
import { createStoreTurns } from '../bulk/store-turns.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { afterCancel, checkProject, findMissingFiles } from '../job-commands.ts'
import { checkBatchSize, checkSize, requireRoom, tellRefusal } from '../limits/admission.ts'
import { createSlices } from '../limits/pace.ts'
import { revalidated } from '../plugins/revalidation.ts'
import { traceOf } from '../plugins/trace.ts'
import { findMissingSecrets } from '../secret-checks.ts'
import { checkWebhook } from '../webhook-checks.ts'

const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })
const SUBMIT = {
  summary: 'Submit a batch: a template and its items, as one document or as NDJSON',
  description:
    'As one document it has at most 4 MiB. As application/x-ndjson the first line is the batch without its items, each further line one item: up to 100,000, of 512 MiB, are taken in one request. Nothing is stored when a line is wrong; the answer names it by its number.',
  params: Slug,
  body: Type.Unsafe<unknown>(BatchSpec),
  response: { 201: BatchView },
}

/** Submit, get and cancel batches. */
export const batchRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps, known, stopping }) => {
  const places = createPlaces(deps.bulk.spoolBytes, stopping)
  const inTurn = createStoreTurns()

  async function submit(request: FastifyRequest, { head, size, digest, jobs }: ReceivedBatch) {
    const principal = principalOf(request)
    await checkWebhook(depsOf(deps, request), principal, head.template, 'template.webhook')
    const limits = await known.of(principal.accountId, principal.projectId)
    checkBatchSize(limits, size)
    checkSize(limits, head.template, 'template')
    const { jobMicrons } = worstCase(head.template, deps.slotHourMicrons)
    const demand = { jobs: size, microns: size * jobMicrons }
    const store = async (tx: Tx) => {
      await requireRoom(tx, request, limits, demand)
      const { id } = await insertBatch(tx, principal, { ...head, size }, jobs(), { slotHourMicrons: deps.slotHourMicrons, trace: traceOf(request) ?? null })
      await audit(tx, request, 'batch.submit', id, { items: size })
      return { body: await existing(tx, principal.projectId, id), location: `/v1/batches/${id}` }
    }
    const answer = await inTurn(principal.accountId, size, async () => {
      // Until here it may have taken long: a stream to come in, a large document to be checked, its turn to come.
      await requireStillAllowed(request)
      return tellRefusal(request, limits, demand, () => once(deps, request, store, digest))
    })
    wakeNodes(deps.bus, answer.body.counts.queued)
    return answer
  }

  /** What a batch is checked with; faults of its template stand at `template`. */
  function intakeDeps(request: FastifyRequest, template: string): LinesDeps {
    const principal = principalOf(request)
    const check: CheckJobs = async (jobs, head, at) => {
      await requireStillAllowed(request)
      checkProject(principal, head.project)
      const missing = await Promise.all([
        findMissingFiles(depsOf(deps, request), principal, jobs, (job, input) =>
          input < head.sharedInputs ? `${template}.files.inputs.${input}` : `${at(job)}.inputs.${input - head.sharedInputs}`,
        ),
        findMissingSecrets(depsOf(deps, request), principal, jobs, (job, variable) =>
          isOfTemplate(head, jobs[job], variable) ? `${template}.env.${variable}` : `${at(job)}.env.${variable}`,
        ),
      ])
      return missing.flat()
    }
    return { check, slice: createSlices(deps.pace, principal.accountId), spoolDir: deps.bulk.spoolDir }
  }

  async function submitDocument(request: FastifyRequest, body: AsyncIterable<Buffer>) {
    const bytes = await readDocument(request, body)
    const document = await app.parseJson(request, bytes)
    return submit(request, await receiveDocument(document, bytes, deps.runtimes, intakeDeps(request, 'template')))
  }

  async function submitLines(request: FastifyRequest, body: AsyncIterable<Buffer>) {
    const received = await receiveLines(body, deps.runtimes, intakeDeps(request, 'lines.1.template'))
    try {
      return await submit(request, received)
    } finally {
      await received.close()
    }
  }

  await app.register(async (scope: typeof app) => {
    takeBatchBodies(scope)
    scope.post('/projects/:slug/batches', { ...inProject('jobs:write'), schema: SUBMIT, validatorCompiler: () => () => true }, async (request, reply) => {
      const { media, stream } = request.body as BatchBody
      const answer = await places.within(principalOf(request).accountId, (place) => {
        const body = measured(readBody(stream, deps.bulk.idleMs, stopping), place)
        return media === 'json' ? submitDocument(request, body) : submitLines(request, body)
      })
      return sendAnswer(reply, answer)
    })
  })

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

async function* measured(body: AsyncIterable<Buffer>, place: Place): AsyncGenerator<Buffer> {
  for await (const part of body) {
    await place.take(part.length)
    yield part
  }
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
