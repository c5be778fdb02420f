import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { ArtifactList, Download, FileRequest, FileView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { nowMs } from '#core/service/time.ts'
import { findArtifact, listArtifacts } from '#store/artifacts.ts'
import { ensureFile, markFileReady } from '#store/files.ts'
import { readJobView } from '#store/job-query.ts'
import type { GatewayDeps } from '../deps.ts'
import { principalOf, principalOfProject } from '../plugins/auth.ts'
import { noJob } from './jobs.ts'

const Id = Type.Object({ id: Type.String() })

/** Uploads (known by their content) and artifacts. The bytes go straight to the object store and back. */
export const fileRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  const expiresAt = () => new Date(nowMs() + deps.urlSeconds * 1000).toISOString()

  app.post(
    '/projects/:slug/files',
    {
      schema: {
        summary: 'Announce a file by its SHA-256: it is there already, or how to upload it',
        params: Type.Object({ slug: Type.String() }),
        body: FileRequest,
        response: { 200: FileView, 201: FileView },
      },
    },
    async (request, reply) => {
      const principal = principalOfProject(request, request.params.slug)
      const { sha256, sizeBytes } = request.body
      const file = await ensureFile(deps.db, principal, sha256, sizeBytes)
      const common = { id: file.id, sha256, sizeBytes: file.sizeBytes }
      if (file.sizeBytes !== sizeBytes) throw wrongSize(`the file of this SHA-256 is ${file.sizeBytes} bytes long, not ${sizeBytes}`)
      if (file.state === 'ready') return { ...common, state: 'ready' as const, upload: null }
      const uploaded = await deps.objects.size(file.key)
      if (uploaded === sizeBytes) {
        await markFileReady(deps.db, file.id)
        return { ...common, state: 'ready' as const, upload: null }
      }
      if (uploaded !== undefined) throw wrongSize(`${uploaded} bytes were uploaded, ${sizeBytes} were announced`)
      const put = await deps.objects.presignPut(file.key, sizeBytes, deps.urlSeconds)
      return reply.code(201).send({ ...common, state: 'pending' as const, upload: { ...put, expiresAt: expiresAt() } })
    },
  )

  app.get('/jobs/:id/artifacts', { schema: { summary: 'The outputs of a job', params: Id, response: { 200: ArtifactList } } }, async (request) => {
    const { projectId } = principalOf(request)
    if (!(await readJobView(deps.db, projectId, request.params.id))) throw noJob(request.params.id)
    return { items: await listArtifacts(deps.db, request.params.id) }
  })

  app.get(
    '/artifacts/:id/download',
    { schema: { summary: 'Redirects to where an output can be fetched', params: Id, response: { 302: Download } } },
    async (request, reply) => {
      const artifact = await findArtifact(deps.db, principalOf(request).projectId, request.params.id)
      if (!artifact) throw new RGridError('not_found', `there is no artifact ${request.params.id} in this project`)
      if (artifact.expired) throw new RGridError('gone', `${artifact.path} is no longer kept: it is past the retention of artifacts of this project`)
      const url = await deps.objects.presignGet(artifact.key, deps.urlSeconds, artifact.path.split('/').at(-1))
      return reply.code(302).header('location', url).header('cache-control', 'no-store').send({ url, expiresAt: expiresAt() })
    },
  )
}

function wrongSize(message: string): RGridError {
  return new RGridError('validation', `sizeBytes: ${message}`, { issues: [{ path: 'sizeBytes', message }] })
}
