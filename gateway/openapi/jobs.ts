import type { AttemptView, BatchView, CancelResult, JobDetail, JobView } from '#core/api.ts'
import type { BatchSpec } from '#core/batch.ts'
import type { Explanation } from '#core/explain.ts'
import type { JobSpec } from '#core/job/spec.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const JOB: JobView = {
  id: EXAMPLE.job,
  project: 'default',
  batchId: null,
  batchIndex: null,
  name: 'thumbnails',
  labels: { team: 'media' },
  runtime: 'python:3.11',
  image: 'python:3.11-slim',
  state: 'queued',
  hold: null,
  holdUntil: null,
  reason: 'waiting for a slot',
  cause: null,
  exitCode: null,
  message: null,
  warnings: [],
  attemptCount: 0,
  nodeId: null,
  cancelRequested: false,
  createdAt: '2026-11-23T10:00:00.000Z',
  startedAt: null,
  finishedAt: null,
}
const ENDED: JobView = {
  ...JOB,
  state: 'succeeded',
  reason: null,
  cause: 'exit',
  exitCode: 0,
  attemptCount: 1,
  nodeId: EXAMPLE.node,
  startedAt: '2026-11-23T10:00:00.812Z',
  finishedAt: '2026-11-23T10:00:04.120Z',
}
const ATTEMPT: AttemptView = {
  id: EXAMPLE.attempt,
  number: 1,
  state: 'succeeded',
  cause: 'exit',
  exitCode: 0,
  message: null,
  nodeId: EXAMPLE.node,
  imageDigest: `sha256:${EXAMPLE.sha256}`,
  assignedAt: '2026-11-23T10:00:00.031Z',
  startedAt: '2026-11-23T10:00:00.812Z',
  finishedAt: '2026-11-23T10:00:04.120Z',
  lateResult: null,
}
const EXPLANATION: Explanation = {
  jobId: EXAMPLE.job,
  state: 'queued',
  message: 'a machine is booting (cx23 in fsn1)',
  code: 'booting',
  details: {
    nodeId: EXAMPLE.node,
    state: 'booting',
    serverType: 'cx23',
    location: 'fsn1',
    since: '2026-11-23T09:57:06.000Z',
    readyAt: '2026-11-23T09:58:01.000Z',
  },
}
const DOCUMENT: JobSpec = {
  metadata: { name: 'thumbnails', labels: { team: 'media' } },
  spec: {
    runtime: 'python:3.11',
    command: ['python', 'thumbnail.py', 'in.jpg'],
    env: { WIDTH: '320' },
    files: { inputs: [{ path: 'in.jpg', file: EXAMPLE.file }], outputs: [{ path: 'out/*.jpg', type: 'glob' }] },
    resources: { cpu: '1', memory: '512Mi' },
    timeoutSeconds: 600,
    retries: 2,
  },
}
const DETAIL: JobDetail = { ...ENDED, attempts: [ATTEMPT], spec: { ...DOCUMENT.spec } }
const BATCH: BatchView = {
  id: EXAMPLE.batch,
  project: 'default',
  name: 'nightly',
  size: 2,
  parallel: 50,
  maxFailures: null,
  counts: { held: 0, queued: 1, running: 1, succeeded: 0, failed: 0, cancelled: 0 },
  createdAt: '2026-11-23T10:00:00.000Z',
  finishedAt: null,
}
const BATCH_DOCUMENT: BatchSpec = {
  metadata: { name: 'nightly' },
  parallel: 50,
  template: { runtime: 'python:3.11', command: ['python', 'process.py'] },
  items: [{ args: ['a.csv'] }, { args: ['b.csv'] }],
}
const CANCELLED: CancelResult = { cancelled: 1, requested: 0 }

/** Jobs and batches. */
export const JOB_OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /v1/projects/{slug}/jobs': {
    id: 'submitJob',
    tag: 'Jobs',
    description: 'Every field of the document is explained in docs/JOB_SPEC.md. What it may cost at most is reserved by it.',
    idempotent: true,
    body: json(DOCUMENT),
    answers: { 201: json(JOB) },
  },
  'GET /v1/projects/{slug}/jobs': {
    id: 'listJobs',
    tag: 'Jobs',
    parameters: { state: 'queued,running', batch: EXAMPLE.batch, name: 'thumbnails', label: 'team=media', limit: 50, cursor: EXAMPLE.cursor },
    answers: { 200: json({ items: [JOB, { ...ENDED, id: EXAMPLE.job.replace(/c$/, 'b') }], nextCursor: EXAMPLE.cursor }) },
  },
  'GET /v1/jobs/{id}': { id: 'getJob', tag: 'Jobs', answers: { 200: json(DETAIL) } },
  'GET /v1/jobs/{id}/explain': {
    id: 'explainJob',
    tag: 'Jobs',
    description: 'One reason of a closed list, told apart by `code`, with its details.',
    answers: { 200: json(EXPLANATION) },
  },
  'POST /v1/jobs/{id}/cancel': {
    id: 'cancelJob',
    tag: 'Jobs',
    description: 'A job that waits ends at once; one that runs is told to stop, and killed after its `gracePeriodSeconds`. One that has ended is a conflict.',
    answers: { 200: json(CANCELLED) },
  },
  'POST /v1/projects/{slug}/batches': {
    id: 'submitBatch',
    tag: 'Batches',
    idempotent: true,
    body: {
      'application/json': BATCH_DOCUMENT,
      'application/x-ndjson': '{"template":{"runtime":"bash","command":["echo"]}}\n{"args":["a"]}\n{"args":["b"]}\n',
    },
    answers: { 201: json(BATCH) },
  },
  'GET /v1/batches/{id}': { id: 'getBatch', tag: 'Batches', answers: { 200: json(BATCH) } },
  'POST /v1/batches/{id}/cancel': {
    id: 'cancelBatch',
    tag: 'Batches',
    description: 'As for a single job, for all of them in one step. May be said again.',
    answers: { 200: json({ cancelled: 41, requested: 9 }) },
  },
}
