import type { Diagnosis, NodeCredential, NodeView } from '#core/operator-api.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const NODE: NodeView = {
  id: EXAMPLE.node,
  name: 'fsn1-7',
  pool: 'default',
  state: 'ready',
  slots: 2,
  usedSlots: 1,
  memoryBytes: 4_294_967_296,
  version: '0.1.0',
  enrolledAt: '2026-11-23T09:58:00.000Z',
  lastSeenAt: '2026-11-23T10:00:00.000Z',
  drainRequested: false,
}
const CREDENTIAL: NodeCredential = {
  nodeId: EXAMPLE.node,
  jwt: 'eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.….…',
  expiresAt: '2026-11-23T11:00:00.000Z',
  natsUrl: 'tls://nats.example.com:4222',
}
const DIAGNOSIS: Diagnosis = {
  ok: true,
  checks: [{ name: 'the bus answers', ok: true, checked: 1, problems: [], hint: 'is NATS running, and does RGRID_NATS_URL name it?' }],
}

/** Nodes, and those who run the installation. */
export const NODE_OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /v1/nodes/enrol': {
    id: 'enrolNode',
    tag: 'Nodes',
    description: 'The token is used up by it. The node keeps the private half of its key.',
    body: json({
      token: 'rgrid_enrol_told_this_once',
      publicKey: `U${'A'.repeat(55)}`,
      name: 'fsn1-7',
      pool: 'default',
      slots: 2,
      memoryBytes: 4_294_967_296,
      version: '0.1.0',
    }),
    answers: { 201: json(CREDENTIAL) },
  },
  'POST /v1/nodes/{id}/credentials': {
    id: 'renewNodeCredential',
    tag: 'Nodes',
    description: '`signature` is by the node’s key, over `<id>:<issuedAt>`.',
    body: json({ issuedAt: 1_795_341_601_402, signature: 'bm90IGEgc2lnbmF0dXJl' }),
    answers: { 200: json(CREDENTIAL) },
  },
  'GET /v1/nodes': {
    id: 'listNodes',
    tag: 'Nodes',
    parameters: { limit: 200, cursor: EXAMPLE.cursor },
    answers: { 200: json({ items: [NODE], nextCursor: null }) },
  },
  'POST /v1/nodes/{id}/drain': { id: 'drainNode', tag: 'Nodes', answers: { 200: json({ ...NODE, state: 'draining', drainRequested: true }) } },
  'POST /v1/nodes/{id}/resume': { id: 'resumeNode', tag: 'Nodes', answers: { 200: json(NODE) } },
  'GET /v1/doctor': { id: 'diagnose', tag: 'Nodes', description: 'Takes up to 45 s.', answers: { 200: json(DIAGNOSIS) } },
}
