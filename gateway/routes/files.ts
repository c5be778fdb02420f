import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { ArtifactList, Download, FileRequest, FileView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { ArtifactQuery } from '#core/list-api.ts'
import { nowMs, withDeadline } from '#core/service/time.ts'
import { findArtifact, listArtifacts } from '#store/artifacts.ts'
import { ensureFile, findFile, markFileReady } from '#store/files.ts'
import { projectHas } from '#store/job-query.ts'
import { inProject, ofObject } from '../access/access.ts'
import { dbOf, principalOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { type Made, once, sendAnswer } from '../idempotent.ts'
import { requireStorage } from '../limits/admission.ts'
import { positionOf, sendPage } from '../pages.ts'
import { UNCOMPRESSED } from '../plugins/compression.ts'
import { revalidated } from '../plugins/revalidation.ts'
import { noJob } from './jobs.ts'

/** So long the object store may take to say whether it has a file. */
const SIZE_DEADLINE_MS = 2500
const Id = Type.Object({ id: Type.String() })

/** Uploads (known by their content) and artifacts. The bytes go straight to the object store and back. */
export const fileRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps, known }) => {
  const expiresAt = () => new Date(nowMs() + deps.urlSeconds * 1000).toISOString()

  /** The file that was announced before and how much of it was uploaded. Asked outside the transaction: the object store may take its time. */
  async function findUploaded(request: FastifyRequest, sha256: string): Promise<{ id: string; bytes: number | undefined } | undefined> {
    const file = await findFile(dbOf(request), principalOf(request).projectId, sha256)
    if (!file) return undefined
    const bytes = file.state === 'ready' ? undefined : await withDeadline('the object store', SIZE_DEADLINE_MS, (signal) => deps.objects.size(file.key, signal))
    return { id: file.id, bytes }
  }

  app.post(
    '/projects/:slug/files',
    {
      ...inProject('files:write'),
      ...UNCOMPRESSED,
      schema: {
        summary: 'Announce a file by its SHA-256: it is there already, or how to upload it',
        params: Type.Object({ slug: Type.String() }),
        body: FileRequest,
        response: { 200: FileView, 201: FileView },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const { sha256, sizeBytes } = request.body
      const limits = await known.of(principal.accountId, principal.projectId)
      const announced = await findUploaded(request, sha256)
      const answer = await once(deps, request, async (tx): Promise<Made<FileView>> => {
        const file = await ensureFile(tx, principal, sha256, sizeBytes)
        const common = { id: file.id, sha256, sizeBytes: file.sizeBytes }
        if (file.sizeBytes !== sizeBytes) throw wrongSize(`the file of this SHA-256 is ${file.sizeBytes} bytes long, not ${sizeBytes}`)
        if (file.state === 'ready') return { body: { ...common, state: 'ready', upload: null }, status: 200 }
        // Of a file that went meanwhile, and is announced anew, the bytes may be going too.
        const uploaded = file.id === announced?.id ? announced.bytes : undefined
        if (uploaded === sizeBytes) {
          await markFileReady(tx, file.id)
          return { body: { ...common, state: 'ready', upload: null }, status: 200 }
        }
        if (uploaded !== undefined) throw wrongSize(`${uploaded} bytes were uploaded, ${sizeBytes} were announced`)
        await requireStorage(tx, request, limits, { id: file.id, bytes: sizeBytes, urlSeconds: deps.urlSeconds })
        const put = await deps.objects.presignPut(file.key, sizeBytes, deps.urlSeconds)
        return { body: { ...common, state: 'pending', upload: { ...put, expiresAt: expiresAt() } } }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.get(
    '/jobs/:id/artifacts',
    {
      ...revalidated(ofObject('job', 'files:read')),
      schema: { summary: 'The outputs of a job', params: Id, querystring: ArtifactQuery, response: { 200: ArtifactList } },
    },
    async (request, reply) => {
      const { projectId } = principalOf(request)
      if (!(await projectHas(dbOf(request), projectId, 'job', request.params.id))) throw noJob(request.params.id)
      const wish = { after: positionOf(request, 'text'), limit: request.query.limit ?? 1000 }
      return sendPage(request, reply, await listArtifacts(dbOf(request), request.params.id, wish))
    },
  )

  app.get(
    '/artifacts/:id/download',
    {
      ...ofObject('artifact', 'files:read'),
      ...UNCOMPRESSED,
      schema: { summary: 'Redirects to where an output can be fetched', params: Id, response: { 302: Download } },
    },
    async (request, reply) => {
      const artifact = await findArtifact(dbOf(request), principalOf(request).projectId, request.params.id)
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
