import type { NodeCostReport } from '#core/cost-api.ts'
import type { CellList, Diagnosis, NodeCredential, NodeDetail, NodeView } from '#core/operator-api.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const NODE: NodeView = {
  id: EXAMPLE.node,
  name: 'fsn1-7',
  pool: 'default',
  state: 'ready',
  stateAt: '2026-11-23T09:58:00.000Z',
  createdAt: '2026-11-23T09:57:05.000Z',
  enrolledAt: '2026-11-23T09:58:00.000Z',
  lastSeenAt: '2026-11-23T10:00:00.000Z',
  endedAt: null,
  version: '0.1.0',
  slots: 2,
  usedSlots: 1,
  memoryBytes: 3_221_225_472,
  usedMemoryBytes: 536_870_912,
  arch: 'amd64',
  provider: 'hetzner',
  serverType: 'cx23',
  location: 'fsn1',
  serverId: '4711',
  hourMicrons: 9600,
  billedFrom: '2026-11-23T09:57:06.000Z',
  paidUntil: '2026-11-23T10:57:06.000Z',
  drainRequested: false,
  cordonReason: null,
  verdict: 'busy: 1 of 2 slots',
  failure: null,
  imageCount: 1,
}
const DETAIL: NodeDetail = {
  ...NODE,
  images: ['python:3.11-slim'],
  attempts: [{ attemptId: EXAMPLE.attempt, jobId: EXAMPLE.job, state: 'running', since: '2026-11-23T09:59:41.000Z' }],
}
const CELLS: CellList = {
  items: [
    {
      provider: 'hetzner',
      serverType: 'cx23',
      location: 'fsn1',
      place: 0,
      arch: 'amd64',
      slots: 2,
      memoryBytes: 3_221_225_472,
      hourMicrons: 9600,
      available: false,
      error: { code: 'resource_unavailable', message: 'no capacity in this location', at: '2026-11-23T09:56:58.000Z' },
      retryAt: '2026-11-23T10:01:58.000Z',
      checkedAt: '2026-11-23T09:56:58.000Z',
    },
  ],
  scaling: {
    provider: 'hetzner',
    decidedAt: '2026-11-23T10:00:00.000Z',
    boughtAt: '2026-11-23T09:57:05.000Z',
    missingSlots: 0,
    shortage: null,
    bootSeconds: 55,
  },
}
const NODE_SUMS = { hours: 12, paidMicrons: 115_200, costMicrons: 80_640, idleMicrons: 34_560 }
const NODE_COSTS: NodeCostReport = {
  by: 'day',
  since: '2026-11-01',
  until: '2026-11-23',
  items: [{ key: '2026-11-23', ...NODE_SUMS }],
  omitted: 0,
  total: NODE_SUMS,
  open: { nodes: 1, hourMicrons: 9600 },
}
const CREDENTIAL: NodeCredential = {
  nodeId: EXAMPLE.node,
  jwt: 'eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.….…',
  expiresAt: '2026-11-23T11:00:00.000Z',
  natsUrl: 'tls://nats.example.com:4222',
  natsCa: '-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n',
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
    parameters: { all: true, limit: 200, cursor: EXAMPLE.cursor },
    answers: { 200: json({ items: [NODE], nextCursor: null }) },
  },
  'GET /v1/nodes/{id}': { id: 'getNode', tag: 'Nodes', answers: { 200: json(DETAIL) } },
  'GET /v1/nodes/cost': {
    id: 'nodeCosts',
    tag: 'Nodes',
    description: 'Hours that are closed. Costs and idle together are what was paid, to the micron.',
    parameters: { by: 'day', since: '2026-11-01', until: '2026-11-23', limit: 100 },
    answers: { 200: json(NODE_COSTS) },
  },
  'GET /v1/cells': { id: 'listCells', tag: 'Nodes', answers: { 200: json(CELLS) } },
  'POST /v1/nodes/{id}/drain': { id: 'drainNode', tag: 'Nodes', answers: { 200: json({ ...NODE, state: 'draining', drainRequested: true }) } },
  'POST /v1/nodes/{id}/resume': { id: 'resumeNode', tag: 'Nodes', answers: { 200: json(NODE) } },
  'GET /v1/doctor': { id: 'diagnose', tag: 'Nodes', description: 'Takes up to 45 s.', answers: { 200: json(DIAGNOSIS) } },
}
