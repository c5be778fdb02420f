import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { wakeNodes } from '#bus/wake.ts'
import { BatchView, CancelResult } from '#core/api.ts'
import { BatchSpec } from '#core/batch.ts'
import { RGridError } from '#core/errors.ts'
import { validateBatch } from '#core/job/validate.ts'
import { cancelBatch } from '#store/job-cancel.ts'
import { readBatch } from '#store/job-query.ts'
import { insertBatch } from '#store/job-submit.ts'
import type { GatewayDeps } from '../deps.ts'
import { afterCancel, checkFiles, checkProject } from '../job-commands.ts'
import { principalOf, principalOfProject } from '../plugins/auth.ts'
import { checkWebhook } from '../webhook-checks.ts'

const MAX_BODY_BYTES = 64 * 2 ** 20
const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })

/** Submit, get and cancel batches. */
export const batchRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  const submit = { summary: 'Submit a batch: a template and its items', params: Slug, body: Type.Unsafe<unknown>(BatchSpec), response: { 201: BatchView } }
  app.post('/projects/:slug/batches', { bodyLimit: MAX_BODY_BYTES, schema: submit, validatorCompiler: () => () => true }, async (request, reply) => {
    const principal = principalOfProject(request, request.params.slug)
    const batch = validateBatch(request.body, deps.runtimes)
    checkProject(principal, batch.project)
    await checkFiles(deps, principal, batch.jobs, (job, input) =>
      input < batch.sharedInputs ? `template.files.inputs.${input}` : `items.${job}.inputs.${input - batch.sharedInputs}`,
    )
    await checkWebhook(deps, principal, batch.jobs, 'template.webhook')
    const { id, queued } = await deps.db.transaction((tx) => insertBatch(tx, principal, batch))
    wakeNodes(deps.bus, queued)
    return reply
      .code(201)
      .header('location', `/v1/batches/${id}`)
      .send(await existing(deps, principal.projectId, id))
  })

  app.get('/batches/:id', { schema: { summary: 'A batch with the number of its jobs in each state', params: Id, response: { 200: BatchView } } }, (request) =>
    existing(deps, principalOf(request).projectId, request.params.id),
  )

  app.post('/batches/:id/cancel', { schema: { summary: 'Cancel every job of a batch', params: Id, response: { 200: CancelResult } } }, async (request) => {
    const cancelled = await deps.db.transaction((tx) => cancelBatch(tx, principalOf(request).projectId, request.params.id))
    if (!cancelled) throw noBatch(request.params.id)
    return afterCancel(deps, cancelled)
  })
}

async function existing(deps: GatewayDeps, projectId: string, id: string): Promise<BatchView> {
  const batch = await readBatch(deps.db, projectId, id)
  if (!batch) throw noBatch(id)
  return batch
}

function noBatch(id: string): RGridError {
  return new RGridError('not_found', `there is no batch ${id} in this project`)
}
