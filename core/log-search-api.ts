import { type Static, Type } from '@sinclair/typebox'
import { LogChunk, maybe } from './api.ts'

/** What a search in logs is asked for. */
export const LogSearchQuery = Type.Object(
  {
    query: Type.String({ minLength: 1, maxLength: 256, description: 'the text to look for, as it is; no pattern' }),
    ignoreCase: Type.Optional(Type.Boolean({ default: false })),
    batch: Type.Optional(Type.String({ description: 'in the jobs of this batch, in its order; without it in jobs by time, the newest first' })),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'of jobs that started from then on (RFC 3339); 24 hours ago without a batch' })),
    until: Type.Optional(Type.String({ format: 'date-time', description: 'of jobs that started before then; now' })),
    stream: Type.Optional(Type.Union([Type.Literal('stdout'), Type.Literal('stderr'), Type.Literal('system')])),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 2000, default: 1000, description: 'so many lines at most' })),
    cursor: Type.Optional(Type.String({ maxLength: 100, description: 'nextCursor of the answer before' })),
  },
  { additionalProperties: false },
)
/** See the schema of the same name. */
export type LogSearchQuery = Static<typeof LogSearchQuery>

/** A line that holds the text; `line` is at most 4 KiB around it. */
export const LogMatch = Type.Object({
  jobId: Type.String(),
  name: maybe(Type.String()),
  batchIndex: maybe(Type.Integer()),
  attempt: Type.Integer(),
  stream: LogChunk.properties.stream,
  at: Type.Integer({ description: 'Milliseconds since 1970, the node’s clock.' }),
  line: Type.String(),
})
/** See the schema of the same name. */
export type LogMatch = Static<typeof LogMatch>

/** The last line of the answer: what was looked at, and what was not. */
export const LogSearchSummary = Type.Object({
  summary: Type.Object({
    scannedJobs: Type.Integer(),
    scannedBytes: Type.Integer(),
    matches: Type.Integer(),
    notArchived: Type.Integer({ description: 'Attempts whose logs are not archived (yet): they run, or were lost.' }),
    expired: Type.Integer({ description: 'Attempts whose logs are past their retention.' }),
    unreadable: Type.Integer({ description: 'Attempts whose archives could not be read to their end.' }),
    nextCursor: maybe(Type.String({ description: 'There is more to look at: ask again with it.' })),
  }),
})
/** See the schema of the same name. */
export type LogSearchSummary = Static<typeof LogSearchSummary>
