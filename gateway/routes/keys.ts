import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import { SCOPES } from '#core/access.ts'
import { maybe } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { KeyList, KeyRotation, KeyView, NewKeyBody, NewKeyView } from '#core/key-api.ts'
import { PlainPage } from '#core/list-api.ts'
import { nowMs } from '#core/service/time.ts'
import { createKey, listKeys, lockKey, readKey, replaceKey, revokeKey } from '#store/api-keys.ts'
import type { Tx } from '#store/pool.ts'
import { inProject, ofObject } from '../access/access.ts'
import { callerOf, dbOf, principalOf } from '../access/authorise.ts'
import { may, mayGive } from '../access/caller.ts'
import { holdCaller } from '../access/hold-caller.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { positionOf, sendPage } from '../pages.ts'
import { UNCOMPRESSED } from '../plugins/compression.ts'
import { revalidated } from '../plugins/revalidation.ts'

const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })
const ONE_DAY_SECONDS = 86_400

/** API keys of a project. Nobody makes, or gets hold of, a key that may do more than who asks. */
export const keyRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/projects/:slug/keys',
    {
      ...revalidated(inProject('keys:read')),
      schema: { summary: 'The API keys of a project', params: Slug, querystring: PlainPage, response: { 200: KeyList } },
    },
    async (request, reply) =>
      sendPage(
        request,
        reply,
        await listKeys(dbOf(request), principalOf(request).projectId, { after: positionOf(request, 'text'), limit: request.query.limit ?? 200 }),
      ),
  )

  app.post(
    '/projects/:slug/keys',
    {
      ...inProject('keys:admin'),
      ...UNCOMPRESSED,
      schema: { summary: 'Make an API key; it is answered this once', params: Slug, body: NewKeyBody, response: { 201: NewKeyView } },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const { name, environment = 'live', expiresInSeconds = null } = request.body
      const scopes = request.body.scopes ?? SCOPES.filter((scope) => may(principal.caller, scope, principal.projectId))
      if (!mayGive(principal.caller, scopes, principal.projectId))
        throw new RGridError('forbidden', 'scopes: a key may do no more than who makes it; leave out what you may not do yourself')
      const answer = await once(deps, request, async (tx) => {
        await holdCaller(tx, request)
        await requireLifetime(tx, request, expiresInSeconds, 'expiresInSeconds')
        const { id, key } = await createKey(tx, principal, { name, scopes, environment, expiresInSeconds, createdBy: principal.caller.id })
        await audit(tx, request, 'key.create', id, { name, scopes, expiresInSeconds })
        return { body: { ...(await existing(tx, request, id)), key }, location: `/v1/keys/${id}` }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.get('/keys/:id', { ...ofObject('key', 'keys:read'), schema: { summary: 'An API key', params: Id, response: { 200: KeyView } } }, async (request) => {
    return (await readKey(dbOf(request), principalOf(request).projectId, request.params.id)) ?? noKey(request.params.id)
  })

  app.post(
    '/keys/:id/rotate',
    {
      ...ofObject('key', 'keys:admin'),
      ...UNCOMPRESSED,
      schema: {
        summary: 'Make a key in the place of another one, which still works for a while',
        params: Id,
        body: maybe(KeyRotation),
        response: { 201: NewKeyView },
      },
    },
    async (request, reply) => {
      const overlapSeconds = request.body?.overlapSeconds ?? ONE_DAY_SECONDS
      const principal = principalOf(request)
      const answer = await once(deps, request, async (tx) => {
        await holdCaller(tx, request)
        const old = await mine(tx, request)
        if (old.revokedAt !== null) throw new RGridError('conflict', `${old.id} is revoked; make a new key`)
        if (old.replacedBy !== null) throw new RGridError('conflict', `${old.id} was replaced by ${old.replacedBy} already; rotate that one`)
        // A key that rotates itself gets no new life by it.
        const expiresInSeconds = old.id === principal.caller.id ? secondsLeft(old) : lifeOf(old)
        await requireLifetime(tx, request, expiresInSeconds, old.id)
        const { id, key } = await replaceKey(tx, principal, old, { expiresInSeconds, overlapSeconds, createdBy: principal.caller.id })
        await audit(tx, request, 'key.rotate', old.id, { replacedBy: id, overlapSeconds })
        return { body: { ...(await existing(tx, request, id)), key }, location: `/v1/keys/${id}` }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.delete(
    '/keys/:id',
    {
      ...ofObject('key', 'keys:admin'),
      schema: { summary: 'Revoke an API key: within a second it works nowhere', params: Id, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await dbOf(request).transaction(async (tx) => {
        const { id } = await mine(tx, request)
        await revokeKey(tx, id)
        await audit(tx, request, 'key.revoke', id)
      })
      return reply.code(204).send(null)
    },
  )
}

/** The key of the address, locked; throws when the caller may not do all that it may. */
async function mine(tx: Tx, request: FastifyRequest): Promise<KeyView> {
  const { id } = request.params as typeof Id.static
  const { projectId } = principalOf(request)
  const key = (await lockKey(tx, projectId, id)) ?? noKey(id)
  if (!mayGive(callerOf(request), key.scopes, projectId)) throw new RGridError('forbidden', `${id} may do more than you; ask somebody who may do as much`)
  return key
}

/** Throws when a key that will end would make one that outlives it; the message begins with what is at fault. */
async function requireLifetime(tx: Tx, request: FastifyRequest, seconds: number | null, what: string): Promise<void> {
  const { caller, projectId } = principalOf(request)
  const own = caller.kind === 'key' ? await readKey(tx, projectId, caller.id) : undefined
  const left = own ? secondsLeft(own) : null
  if (left !== null && (seconds === null || seconds > left))
    throw new RGridError('forbidden', `${what}: the key that asks ends in ${left} s, and may make none that outlives it`)
}

/** How long a key is good from now on, in whole seconds; null: for ever. */
function secondsLeft({ expiresAt }: KeyView): number | null {
  return expiresAt === null ? null : Math.max(0, Math.floor((Date.parse(expiresAt) - nowMs()) / 1000))
}

/** How long a key was to be good when it was made, and the one that takes its place is; null: for ever. */
function lifeOf({ createdAt, expiresAt }: KeyView): number | null {
  return expiresAt === null ? null : Math.max(60, Math.round((Date.parse(expiresAt) - Date.parse(createdAt)) / 1000))
}

async function existing(tx: Tx, request: FastifyRequest, id: string): Promise<KeyView> {
  return (await readKey(tx, principalOf(request).projectId, id)) ?? noKey(id)
}

function noKey(id: string): never {
  throw new RGridError('not_found', `there is no key ${id} in this project`)
}
