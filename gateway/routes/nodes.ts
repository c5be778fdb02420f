import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { isUserKey, mintNodeJwt, verifyCredentialProof } from '#bus/credentials.ts'
import { Control } from '#bus/messages/node.ts'
import { controlSubject } from '#bus/subjects.ts'
import { RGridError, validationError } from '#core/errors.ts'
import { NodeQuery } from '#core/list-api.ts'
import { CellList, CredentialRequest, EnrolRequest, NodeCredential, NodeDetail, NodeList, NodeView } from '#core/operator-api.ts'
import { nowMs } from '#core/service/time.ts'
import { listCells } from '#store/cells.ts'
import { listNodes, readNode, readNodeDetail } from '#store/node-view.ts'
import { enrolNode, nodeKey, setDrain } from '#store/nodes.ts'
import { OPEN, OPERATORS } from '../access/access.ts'
import { callerOf, dbOf } from '../access/authorise.ts'
import { auditOperator } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { positionOf, sendPage } from '../pages.ts'
import { UNCOMPRESSED } from '../plugins/compression.ts'
import { revalidated } from '../plugins/revalidation.ts'

/** How far a node's clock may be off when it asks for a fresh credential. */
const CLOCK_SKEW_MS = 60_000

/** What nodes ask: to become one, once, by a token; and for a fresh credential, by a signature of their key. */
export const nodeDoorRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const credential = async (node: { id: string; pool: string; publicKey: string }): Promise<NodeCredential> => {
    const expiresAtMs = nowMs() + deps.nodeJwtSeconds * 1000
    return {
      nodeId: node.id,
      jwt: await mintNodeJwt(deps.minter, node, expiresAtMs),
      expiresAt: new Date(expiresAtMs).toISOString(),
      natsUrl: deps.natsNodeUrl,
      ...(deps.natsCa === undefined ? {} : { natsCa: deps.natsCa }),
    }
  }

  app.post(
    '/nodes/enrol',
    {
      ...OPEN,
      ...UNCOMPRESSED,
      schema: { summary: 'Become a node, with a one-time token', security: [], body: EnrolRequest, response: { 201: NodeCredential } },
    },
    async (request, reply) => {
      if (!isUserKey(request.body.publicKey)) throw validationError([{ path: 'publicKey', message: 'is not the public key of a NATS user' }])
      const enrolment = await enrolNode(deps.pool, request.body)
      if (enrolment.status === 'early') throw new RGridError('unavailable', 'the order of this machine is not on record yet; ask again in a moment')
      if (enrolment.status === 'refused')
        throw new RGridError('unauthenticated', 'this enrolment token is not known, was used already or has expired, or its node is over; make a new one')
      const { nodeId, pool } = enrolment
      request.log.info({ nodeId, to: 'ready' }, 'node enrolled')
      return reply.code(201).send(await credential({ id: nodeId, pool, publicKey: request.body.publicKey }))
    },
  )

  app.post(
    '/nodes/:id/credentials',
    {
      ...OPEN,
      ...UNCOMPRESSED,
      schema: {
        summary: 'A fresh credential for a node',
        security: [],
        params: Type.Object({ id: Type.String() }),
        body: CredentialRequest,
        response: { 200: NodeCredential },
      },
    },
    async (request) => {
      const { id } = request.params
      const { issuedAt, signature } = request.body
      const node = await nodeKey(deps.pool, id)
      const fresh = Math.abs(nowMs() - issuedAt) <= CLOCK_SKEW_MS
      if (!node || !fresh || !verifyCredentialProof(node.publicKey, id, issuedAt, signature))
        throw new RGridError(
          'unauthenticated',
          fresh ? 'this node is not known, or the signature is not its own' : 'issuedAt is more than a minute off; set the clock',
        )
      return credential({ id, ...node })
    },
  )
}

const COMMANDS = {
  drain: 'Let a node take no more work; what it runs may end',
  resume: 'Let a node that was drained, or cordoned, take work again',
} as const

const Id = Type.Object({ id: Type.String() })

/** What operators see of nodes and of what can be bought, and tell them. */
export const nodeRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/nodes',
    { ...revalidated(OPERATORS), schema: { summary: 'The nodes, the newest first', querystring: NodeQuery, response: { 200: NodeList } } },
    async (request, reply) => {
      const { all = false, limit = 200 } = request.query
      return sendPage(request, reply, await listNodes(dbOf(request), all, { after: positionOf(request, 'text'), limit }))
    },
  )

  app.get(
    '/nodes/:id',
    { ...OPERATORS, schema: { summary: 'A node, with its images and what runs there', params: Id, response: { 200: NodeDetail } } },
    async (request) => {
      const node = await readNodeDetail(dbOf(request), request.params.id)
      if (!node) throw noNode(request.params.id)
      return node
    },
  )

  app.get(
    '/cells',
    { ...OPERATORS, schema: { summary: 'What machines can be bought, in the order in which it is tried', response: { 200: CellList } } },
    async (request) => listCells(dbOf(request)),
  )

  for (const kind of ['drain', 'resume'] as const) {
    const schema = { summary: COMMANDS[kind], params: Id, response: { 200: NodeView } }
    app.post(`/nodes/:id/${kind}`, { ...OPERATORS, schema }, async (request) => {
      const db = dbOf(request)
      const { id } = request.params
      const node = await db.transaction(async (tx) => {
        if (!(await setDrain(tx, id, kind === 'drain'))) return undefined
        await auditOperator(tx, request, null, `node.${kind}`, id)
        return readNode(tx, id)
      })
      if (!node) throw noNode(id)
      // May be lost: the node's next renewal says it again.
      deps.bus.publish(controlSubject(id), Control, { kind })
      request.log.info({ nodeId: id, to: node.state, cause: kind, keyId: callerOf(request).id }, 'node told')
      return node
    })
  }
}

function noNode(id: string): RGridError {
  return new RGridError('not_found', `there is no node ${id}; GET /v1/nodes (rgrid nodes) lists those there are`)
}
