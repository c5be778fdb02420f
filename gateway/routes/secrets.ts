import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { RGridError, validationError } from '#core/errors.ts'
import { registryServer } from '#core/image-name.ts'
import { SecretName } from '#core/job/spec.ts'
import { PlainPage } from '#core/list-api.ts'
import { MAX_SECRET_BYTES, SecretBody, SecretList, SecretView } from '#core/secret-api.ts'
import { deleteSecret, listSecrets, MAX_SECRETS, readSecret, secretContext, setSecret } from '#store/project-secrets.ts'
import { inProject } from '../access/access.ts'
import { dbOf, principalOf } from '../access/authorise.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { positionOf, sendPage } from '../pages.ts'
import { revalidated } from '../plugins/revalidation.ts'

const Slug = Type.Object({ slug: Type.String() })
const One = Type.Object({ slug: Type.String(), name: SecretName })

/** Secrets of a project: they are written, and listed by their names. What they hold is never answered. */
export const secretRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.put(
    '/projects/:slug/secrets/:name',
    {
      ...inProject('secrets:write'),
      schema: {
        summary: 'Set a secret, or credentials of a registry; jobs that start from now on get it',
        params: One,
        body: SecretBody,
        response: { 200: SecretView },
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const { name } = request.params
      const { kind, server, text } = contentOf(request.body)
      const sealed = deps.sealer.seal(text, secretContext(principal, name))
      return dbOf(request).transaction(async (tx) => {
        const set = await setSecret(tx, principal, { name, kind, server, sealed })
        if (set.status === 'full') throw new RGridError('conflict', `a project has at most ${MAX_SECRETS} secrets; delete one first`)
        if (set.status === 'kind')
          throw new RGridError('conflict', `${name} is ${kind === 'value' ? 'for a registry' : 'a value'}; delete it first, or take another name`)
        if (set.status === 'taken') throw new RGridError('conflict', `the project has ${set.by} for ${server} already; set that one, or delete it first`)
        await audit(tx, request, 'secret.set', set.id, { name, kind, server, version: set.version })
        return (await readSecret(tx, principal.projectId, name)) ?? noSecret(name)
      })
    },
  )

  app.get(
    '/projects/:slug/secrets',
    {
      ...revalidated(inProject('secrets:read')),
      schema: { summary: 'The secrets of a project, without what they hold', params: Slug, querystring: PlainPage, response: { 200: SecretList } },
    },
    async (request, reply) =>
      sendPage(
        request,
        reply,
        await listSecrets(dbOf(request), principalOf(request).projectId, { after: positionOf(request, 'text'), limit: request.query.limit ?? 200 }),
      ),
  )

  app.delete(
    '/projects/:slug/secrets/:name',
    {
      ...inProject('secrets:write'),
      schema: { summary: 'Delete a secret; jobs that ask for it and have not begun fail', params: One, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      const { name } = request.params
      await dbOf(request).transaction(async (tx) => {
        const { id, version } = (await deleteSecret(tx, principalOf(request).projectId, name)) ?? noSecret(name)
        await audit(tx, request, 'secret.delete', id, { name, version })
      })
      return reply.code(204).send(null)
    },
  )
}

/** What is sealed, and what is said of it. */
function contentOf({ value, registry }: SecretBody): { kind: 'value' | 'registry'; server: string | null; text: string } {
  if ((value === undefined) === (registry === undefined)) throw validationError([{ path: 'value', message: 'give exactly one of value and registry' }])
  if (registry) {
    const { username, password } = registry
    return { kind: 'registry', server: registryServer(registry.server), text: JSON.stringify({ username, password }) }
  }
  const text = value ?? ''
  if (!text.isWellFormed()) throw validationError([{ path: 'value', message: 'must be well-formed Unicode; it holds half of a surrogate pair' }])
  if (Buffer.byteLength(text) > MAX_SECRET_BYTES)
    throw validationError([{ path: 'value', message: `is longer than ${MAX_SECRET_BYTES / 1024} KiB; put larger data into a file` }])
  return { kind: 'value', server: null, text }
}

function noSecret(name: string): never {
  throw new RGridError('not_found', `there is no secret ${name} in this project`)
}
