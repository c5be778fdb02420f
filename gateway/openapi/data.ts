import type { ArtifactView, FileView, LogBatch, LogEnd, LogStatus } from '#core/api.ts'
import type { LogMatch, LogSearchSummary } from '#core/log-search-api.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const READY: FileView = { id: EXAMPLE.file, sha256: EXAMPLE.sha256, sizeBytes: 48_213, state: 'ready', upload: null }
const PENDING: FileView = {
  ...READY,
  state: 'pending',
  upload: { url: 'https://s3.example.com/rgrid/files/9f86…?X-Amz-Signature=…', headers: { 'content-length': '48213' }, expiresAt: '2026-11-23T11:00:00.000Z' },
}
const ARTIFACT: ArtifactView = {
  id: EXAMPLE.artifact,
  jobId: EXAMPLE.job,
  path: 'out/in.jpg',
  sizeBytes: 9120,
  sha256: EXAMPLE.sha256,
  executable: false,
  expired: false,
  createdAt: '2026-11-23T10:00:04.120Z',
}
const BATCH: LogBatch = { attempt: 1, seq: 1, chunks: [{ stream: 'stdout', at: 1_795_341_601_402, text: 'wrote out/in.jpg\n' }] }
const STATUS: LogStatus = { state: 'running', reason: null, attempt: 1 }
const END: LogEnd = { state: 'succeeded', cause: 'exit', exitCode: 0, message: null, warnings: [] }
const MATCH: LogMatch = {
  jobId: EXAMPLE.job,
  name: 'thumbnails',
  batchIndex: null,
  attempt: 1,
  stream: 'stderr',
  at: 1_795_341_601_402,
  line: 'ValueError: cannot identify image file in.jpg',
}
const SUMMARY: LogSearchSummary = {
  summary: { scannedJobs: 120, scannedBytes: 4_810_233, matches: 1, notArchived: 2, expired: 0, unreadable: 0, nextCursor: null },
}
const EVENT = {
  specversion: '1.0',
  id: '97',
  source: `/projects/${EXAMPLE.project}`,
  type: 'rgrid.job.succeeded',
  subject: EXAMPLE.job,
  time: '2026-11-23T10:00:04.120Z',
  datacontenttype: 'application/json',
  data: { jobId: EXAMPLE.job, batchId: null, state: 'succeeded', cause: 'exit', exitCode: 0, attempt: 1 },
}
const named = (name: string, value: unknown) => ({ [name]: value })

/** Files, outputs, logs and events. */
export const DATA_OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /v1/projects/{slug}/files': {
    id: 'announceFile',
    tag: 'Files',
    description:
      'A file is known by its content: what was uploaded once is `ready` at once. Else PUT the bytes to `upload.url` with exactly `upload.headers`, then ask again, until it is `ready`; then name its `id` in `files.inputs` of a job.',
    idempotent: true,
    body: json({ sha256: EXAMPLE.sha256, sizeBytes: 48_213 }),
    answers: { 200: json(READY), 201: json(PENDING) },
  },
  'GET /v1/jobs/{id}/artifacts': {
    id: 'listArtifacts',
    tag: 'Files',
    parameters: { limit: 1000, cursor: EXAMPLE.cursor },
    answers: { 200: json({ items: [ARTIFACT], nextCursor: null }) },
  },
  'GET /v1/artifacts/{id}/download': {
    id: 'downloadArtifact',
    tag: 'Files',
    answers: { 302: json({ url: 'https://s3.example.com/rgrid/artifacts/…?X-Amz-Signature=…', expiresAt: '2026-11-23T11:00:00.000Z' }) },
  },
  'GET /v1/jobs/{id}/logs': {
    id: 'getLog',
    tag: 'Logs',
    description:
      'As text: stdout and stderr as they were written. With `format=ndjson` (or `Accept: application/x-ndjson`): a LogBatch a line. With `follow=true`: server-sent events, `log` (LogBatch), `status` (LogStatus) and at last `end` (LogEnd); after a break send the last `id` as `Last-Event-ID`.',
    parameters: { attempt: 1, stream: 'stdout', tail: 100, since: '2026-11-23T10:00:00Z', follow: false, format: 'text', timestamps: false },
    answers: { 200: { 'text/plain': 'wrote out/in.jpg\n', 'application/x-ndjson': BATCH, 'text/event-stream': { log: BATCH, status: STATUS, end: END } } },
  },
  'GET /v1/jobs/{id}/logs/stream': {
    id: 'streamLog',
    tag: 'Logs',
    parameters: { attempt: 1, stream: 'stdout', tail: 100, since: '2026-11-23T10:00:00Z', after: '1.41' },
    answers: { 101: {} },
  },
  'GET /v1/projects/{slug}/logs': {
    id: 'searchLogs',
    tag: 'Logs',
    parameters: {
      query: 'ValueError',
      ignoreCase: false,
      batch: EXAMPLE.batch,
      since: '2026-11-22T00:00:00Z',
      until: '2026-11-23T00:00:00Z',
      stream: 'stderr',
      limit: 1000,
      cursor: 'czE6OTc6MTow',
    },
    answers: { 200: { 'application/x-ndjson': { ...named('match', MATCH), ...named('summary', SUMMARY) } } },
  },
  'GET /v1/events': {
    id: 'followEvents',
    tag: 'Events',
    description: 'Each is a CloudEvent 1.0 in JSON. Send the last `id` as `Last-Event-ID` to go on behind it (docs/EVENTS.md).',
    parameters: { project: 'default', job: EXAMPLE.job, batch: EXAMPLE.batch, type: 'job.succeeded,job.failed', since: '2026-11-23T10:00:00Z' },
    answers: { 200: { 'text/event-stream': `event: ready\nid: mi7k2x8q-41\ndata: {}\n\nid: mi7k2x8q-44\ndata: ${JSON.stringify(EVENT)}\n\n` } },
  },
}
