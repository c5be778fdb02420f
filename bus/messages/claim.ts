import { type Static, Type } from '@sinclair/typebox'
import type { ResolvedSpec } from '#core/job/resolve.ts'

/** A node asks for work: as much as fits its free slots and memory. */
export const ClaimRequest = Type.Object(
  { slots: Type.Integer({ minimum: 1, maximum: 1024 }), memoryBytes: Type.Integer({ minimum: 0 }) },
  { $id: 'ClaimRequest' },
)
/** See the schema of the same name. */
export type ClaimRequest = Static<typeof ClaimRequest>

/** An input as the node fetches it. `trusted`: an object of our own store, else a user's URL, which is filtered. */
export const AssignedInput = Type.Object({
  path: Type.String(),
  url: Type.String(),
  trusted: Type.Boolean(),
  sha256: Type.Union([Type.String(), Type.Null()]),
  sizeBytes: Type.Union([Type.Integer(), Type.Null()]),
  executable: Type.Boolean(),
})
/** See the schema of the same name. */
export type AssignedInput = Static<typeof AssignedInput>

/**
 * Secrets of the project, opened for one attempt: variables with their values, and credentials of the registry of its image.
 * With `fault` the attempt cannot begin. They are on the node while the attempt is, and nowhere else (docs/SECRETS.md).
 */
export const DeliveredSecrets = Type.Object({
  env: Type.Record(Type.String(), Type.String()),
  registry: Type.Union([Type.Object({ server: Type.String(), username: Type.String(), password: Type.String() }), Type.Null()]),
  fault: Type.Union([Type.Object({ message: Type.String(), transient: Type.Boolean() }), Type.Null()]),
})
/** See the schema of the same name. */
export type DeliveredSecrets = Static<typeof DeliveredSecrets>

/** One attempt given to a node. Every later word about it carries the lease token. */
export const Assignment = Type.Object({
  attemptId: Type.String(),
  attemptNumber: Type.Integer(),
  leaseToken: Type.String(),
  jobId: Type.String(),
  project: Type.String(),
  batchId: Type.Union([Type.String(), Type.Null()]),
  batchIndex: Type.Union([Type.Integer(), Type.Null()]),
  batchSize: Type.Union([Type.Integer(), Type.Null()]),
  spec: Type.Unsafe<ResolvedSpec>(Type.Object({ image: Type.String() })),
  inputs: Type.Array(AssignedInput),
  /** W3C trace context of the job; absent from a scheduler, or a record, of before there was one. */
  traceparent: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  tracestate: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  /** Absent once the attempt has ended, and from a scheduler, or in a record, of before there were any. */
  secrets: Type.Optional(DeliveredSecrets),
})
/** See the schema of the same name. */
export type Assignment = Static<typeof Assignment>

/** The answer: as many assignments as there were, possibly none. */
export const ClaimReply = Type.Object({ assignments: Type.Array(Assignment) }, { $id: 'ClaimReply' })
/** See the schema of the same name. */
export type ClaimReply = Static<typeof ClaimReply>
