import { type Static, Type } from '@sinclair/typebox'
import { CAUSES } from '#core/job/state.ts'

const lease = { attemptId: Type.String(), leaseToken: Type.String() }
const maybeString = (maxLength: number) => Type.Union([Type.String({ maxLength }), Type.Null()])

/** A step on the way; may be lost or repeated. */
export const ProgressReport = Type.Object({
  kind: Type.Literal('progress'),
  ...lease,
  state: Type.Union([Type.Literal('preparing'), Type.Literal('running'), Type.Literal('finishing')]),
  imageDigest: maybeString(512),
})

/** See the schema of the same name. */
export type ProgressReport = Static<typeof ProgressReport>

/** An output that has been uploaded. */
export const UploadedArtifact = Type.Object({
  path: Type.String({ minLength: 1, maxLength: 1024 }),
  sizeBytes: Type.Integer({ minimum: 0 }),
  sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  executable: Type.Boolean(),
})
/** See the schema of the same name. */
export type UploadedArtifact = Static<typeof UploadedArtifact>

/** How an attempt ended; repeated until acknowledged. */
export const FinishedReport = Type.Object({
  kind: Type.Literal('finished'),
  ...lease,
  cause: Type.Unsafe<(typeof CAUSES)[number]>(Type.String({ enum: [...CAUSES] })),
  exitCode: Type.Union([Type.Integer(), Type.Null()]),
  transient: Type.Boolean(),
  /** The node could not run it whatever the job is; absent from a node of before there was this. */
  nodeFault: Type.Optional(Type.Boolean()),
  message: maybeString(4096),
  warnings: Type.Array(Type.String({ maxLength: 1024 }), { maxItems: 50 }),
  imageDigest: maybeString(512),
  startedAtMs: Type.Union([Type.Integer(), Type.Null()]),
  finishedAtMs: Type.Integer(),
  artifacts: Type.Array(UploadedArtifact, { maxItems: 10_000 }),
  /** The number of log messages that were published, and whether the archived log was uploaded. */
  logSeq: Type.Integer({ minimum: 0 }),
  logArchived: Type.Boolean(),
})
/** See the schema of the same name. */
export type FinishedReport = Static<typeof FinishedReport>

/** The log of an attempt that has ended was archived now: the object store was away at its end. */
export const LogReport = Type.Object({ kind: Type.Literal('log'), ...lease, logSeq: Type.Integer({ minimum: 0 }) })
/** See the schema of the same name. */
export type LogReport = Static<typeof LogReport>

/** What a node reports about one of its attempts. */
export const ReportRequest = Type.Union([ProgressReport, FinishedReport, LogReport], { $id: 'ReportRequest' })
/** See the schema of the same name. */
export type ReportRequest = Static<typeof ReportRequest>

/**
 * `stale`: the lease is someone else's or over; the node stops the attempt and forgets it. `cancel`: it is still the
 * node's, and is to be stopped and reported.
 */
export const ReportReply = Type.Object({ status: Type.Union([Type.Literal('ok'), Type.Literal('stale'), Type.Literal('cancel')]) }, { $id: 'ReportReply' })
/** See the schema of the same name. */
export type ReportReply = Static<typeof ReportReply>

/** A node asks where it may put outputs and the log of an attempt. */
export const UploadsRequest = Type.Object(
  {
    ...lease,
    log: Type.Boolean(),
    files: Type.Array(
      Type.Object({
        path: Type.String({ minLength: 1, maxLength: 1024 }),
        sizeBytes: Type.Integer({ minimum: 0 }),
        sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
      }),
      { maxItems: 500 },
    ),
  },
  { $id: 'UploadsRequest' },
)
/** See the schema of the same name. */
export type UploadsRequest = Static<typeof UploadsRequest>

/** A presigned PUT: send the body with exactly these headers. */
export const PresignedPut = Type.Object({ url: Type.String(), headers: Type.Record(Type.String(), Type.String()) })
/** See the schema of the same name. */
export type PresignedPut = Static<typeof PresignedPut>

/** The presigned PUTs in the order of the request's files. */
export const UploadsReply = Type.Object(
  { status: Type.Union([Type.Literal('ok'), Type.Literal('stale')]), files: Type.Array(PresignedPut), log: Type.Union([PresignedPut, Type.Null()]) },
  { $id: 'UploadsReply' },
)
/** See the schema of the same name. */
export type UploadsReply = Static<typeof UploadsReply>
