import { FormatRegistry, type Static, type TSchema, Type } from '@sinclair/typebox'
import { ATTEMPT_STATES, CAUSES, HOLDS, JOB_STATES } from './job/state.ts'

/** What the REST API answers (docs/openapi is made from these). Times are RFC 3339 in UTC, sizes bytes. */

/** One of these words. */
export const words = <const T extends readonly string[]>(values: T) => Type.Unsafe<T[number]>(Type.String({ enum: [...values] }))
/** That, or null. */
export const maybe = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
// TypeBox checks only formats that it was told of. `Date.parse` alone takes "1" for the year 2001.
FormatRegistry.Set('date-time', (text) => DATE_TIME.test(text) && !Number.isNaN(Date.parse(text)))
/** A point in time, RFC 3339 in UTC. */
export const Time = Type.String({ format: 'date-time' })

/** One attempt of a job on one node. */
export const AttemptView = Type.Object({
  id: Type.String(),
  number: Type.Integer(),
  state: words(ATTEMPT_STATES),
  cause: maybe(words(CAUSES)),
  exitCode: maybe(Type.Integer()),
  message: maybe(Type.String()),
  nodeId: Type.String(),
  imageDigest: maybe(Type.String()),
  assignedAt: Time,
  startedAt: maybe(Time),
  finishedAt: maybe(Time),
  lateResult: maybe(
    Type.Object(
      { cause: Type.String(), exitCode: maybe(Type.Integer()), at: Time },
      { description: 'What its node said after the attempt had been taken from it; changed nothing.' },
    ),
  ),
})
/** See the schema of the same name. */
export type AttemptView = Static<typeof AttemptView>

/** A job. `reason` says in words why a job that has not ended is where it is; `message` how it ended. */
export const JobView = Type.Object({
  id: Type.String(),
  project: Type.String(),
  batchId: maybe(Type.String()),
  batchIndex: maybe(Type.Integer()),
  name: maybe(Type.String()),
  labels: Type.Record(Type.String(), Type.String()),
  runtime: maybe(Type.String()),
  image: Type.String(),
  state: words(JOB_STATES),
  hold: maybe(words(HOLDS)),
  holdUntil: maybe(Time),
  reason: maybe(Type.String()),
  cause: maybe(words(CAUSES)),
  exitCode: maybe(Type.Integer()),
  message: maybe(Type.String()),
  warnings: Type.Array(Type.String()),
  attemptCount: Type.Integer(),
  nodeId: maybe(Type.String()),
  cancelRequested: Type.Boolean(),
  createdAt: Time,
  startedAt: maybe(Time),
  finishedAt: maybe(Time),
})
/** See the schema of the same name. */
export type JobView = Static<typeof JobView>

/** A job with its attempts and its spec as it was resolved. */
export const JobDetail = Type.Composite([JobView, Type.Object({ attempts: Type.Array(AttemptView), spec: Type.Unknown() })])
/** See the schema of the same name. */
export type JobDetail = Static<typeof JobDetail>

/** A page of a list; `nextCursor` is null on the last one. */
export const pageOf = <T extends TSchema>(item: T) => Type.Object({ items: Type.Array(item), nextCursor: maybe(Type.String()) })

/** Jobs. */
export const JobPage = pageOf(JobView)
/** See the schema of the same name. */
export type JobPage = Static<typeof JobPage>

/** A batch with the number of its jobs in each state. */
export const BatchView = Type.Object({
  id: Type.String(),
  project: Type.String(),
  name: maybe(Type.String()),
  size: Type.Integer(),
  parallel: maybe(Type.Integer()),
  maxFailures: maybe(Type.Integer()),
  counts: Type.Object(
    Object.fromEntries(JOB_STATES.map((state) => [state, Type.Integer()])) as Record<(typeof JOB_STATES)[number], ReturnType<typeof Type.Integer>>,
  ),
  createdAt: Time,
  finishedAt: maybe(Time),
})
/** See the schema of the same name. */
export type BatchView = Static<typeof BatchView>

/** A kept output. */
export const ArtifactView = Type.Object({
  id: Type.String(),
  jobId: Type.String(),
  path: Type.String(),
  sizeBytes: Type.Integer(),
  sha256: Type.String(),
  executable: Type.Boolean(),
  expired: Type.Boolean({ description: 'Past the retention of the project: its bytes are gone.' }),
  createdAt: Time,
})
/** See the schema of the same name. */
export type ArtifactView = Static<typeof ArtifactView>

/** The outputs of a job. */
export const ArtifactList = pageOf(ArtifactView)
/** See the schema of the same name. */
export type ArtifactList = Static<typeof ArtifactList>

/** Where an artifact can be fetched from until `expiresAt`. */
export const Download = Type.Object({ url: Type.String(), expiresAt: Time })

/** A file that is to be uploaded: known by its content. */
export const FileRequest = Type.Object(
  { sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }), sizeBytes: Type.Integer({ minimum: 0, maximum: 5 * 2 ** 30 }) },
  { additionalProperties: false },
)

/** An uploaded file, or how to upload it: PUT the bytes to `upload.url` with exactly `upload.headers`, then ask again. */
export const FileView = Type.Object({
  id: Type.String(),
  sha256: Type.String(),
  sizeBytes: Type.Integer(),
  state: words(['pending', 'ready']),
  upload: maybe(Type.Object({ url: Type.String(), headers: Type.Record(Type.String(), Type.String()), expiresAt: Time })),
})
/** See the schema of the same name. */
export type FileView = Static<typeof FileView>

/** For how many days what belongs to jobs that have ended is kept. */
export const Retention = Type.Object(
  {
    jobsDays: Type.Integer({ minimum: 1, maximum: 3650 }),
    logsDays: Type.Integer({ minimum: 1, maximum: 3650 }),
    artifactsDays: Type.Integer({ minimum: 1, maximum: 3650 }),
  },
  { additionalProperties: false },
)
/** See the schema of the same name. */
export type Retention = Static<typeof Retention>

/** A project. */
export const ProjectView = Type.Object({ id: Type.String(), slug: Type.String(), name: Type.String(), createdAt: Time, retention: Retention })
/** See the schema of the same name. */
export type ProjectView = Static<typeof ProjectView>

/** Projects. */
export const ProjectList = pageOf(ProjectView)
/** See the schema of the same name. */
export type ProjectList = Static<typeof ProjectList>

/** What of a project may be changed. */
export const ProjectChange = Type.Object(
  {
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000-\\u001f\\u007f]+$' })),
    retention: Type.Optional(Type.Partial(Retention, { additionalProperties: false })),
  },
  { additionalProperties: false, minProperties: 1 },
)

/** One piece of a job's log: `text`, or `base64` where the bytes are no UTF-8. */
export const LogChunk = Type.Object({
  stream: words(['stdout', 'stderr', 'system']),
  at: Type.Integer({ description: 'Milliseconds since 1970, the node’s clock.' }),
  text: Type.Optional(Type.String()),
  base64: Type.Optional(Type.String()),
})
/** See the schema of the same name. */
export type LogChunk = Static<typeof LogChunk>

/** The data of one `log` event of a followed log (and a line of the log as NDJSON); `seq` counts from 1 in each attempt. */
export const LogBatch = Type.Object({ attempt: Type.Integer(), seq: Type.Integer(), chunks: Type.Array(LogChunk) })
/** See the schema of the same name. */
export type LogBatch = Static<typeof LogBatch>

/** The data of the `status` events of a followed log: where the job is, and why. */
export const LogStatus = Type.Object({ state: words(JOB_STATES), reason: maybe(Type.String()), attempt: Type.Integer() })
/** See the schema of the same name. */
export type LogStatus = Static<typeof LogStatus>

/** The data of the `end` event, the last of a followed log. */
export const LogEnd = Type.Pick(JobView, ['state', 'cause', 'exitCode', 'message', 'warnings'])
/** See the schema of the same name. */
export type LogEnd = Static<typeof LogEnd>

/** An error (RFC 9457, application/problem+json); `code` is of the closed list in core/errors.ts. */
export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String(),
  requestId: Type.String(),
  errors: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
})
/** See the schema of the same name. */
export type Problem = Static<typeof Problem>

/** How a sent document was taken. */
export const CancelResult = Type.Object({
  cancelled: Type.Integer({ description: 'Jobs that ended at once.' }),
  requested: Type.Integer({ description: 'Running jobs that were told to stop.' }),
})
/** See the schema of the same name. */
export type CancelResult = Static<typeof CancelResult>
