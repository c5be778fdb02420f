import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { maybe } from './api.ts'

const strict = { additionalProperties: false } as const
const limit = (description: string, options: { minimum?: number; maximum?: number } = {}) =>
  maybe(Type.Integer({ minimum: options.minimum ?? 0, maximum: options.maximum ?? Number.MAX_SAFE_INTEGER, description }))

const FIELDS = {
  requestsPerSecond: limit('Requests to the API per second, of all gateways together; more than that is 429.', { minimum: 1, maximum: 1_000_000 }),
  runningJobs: limit('Jobs that run at once; further ones wait in the queue.', { maximum: 1_000_000_000 }),
  openJobs: limit('Jobs that have not ended; a submit beyond it is 429.', { maximum: 1_000_000_000 }),
  jobCpuMillis: limit('CPU of one job, in thousandths.', { minimum: 50, maximum: 64_000 }),
  jobMemoryBytes: limit('Memory of one job.', { minimum: 16 * 2 ** 20 }),
  jobTimeoutSeconds: limit('timeoutSeconds of one job.', { minimum: 1, maximum: 86_400 }),
  batchItems: limit('Items of one batch.', { minimum: 1, maximum: 100_000 }),
  storageBytes: limit('Uploaded files and kept outputs; uploads beyond it are 429, and submits while it is full. What runs keeps its outputs.'),
  monthMicrons: limit(
    'What a calendar month (UTC) may cost, in microns (1 EUR = 1,000,000): a hard stop, as the worst case of each job is reserved at its submit.',
  ),
}

/** Limits; null is none. */
export const Limits = Type.Object(FIELDS)
/** See the schema of the same name. */
export type Limits = Static<typeof Limits>

/** A change of limits: what is absent stays, null takes the limit away. */
export const LimitsChange = Type.Partial(Type.Object(FIELDS), { ...strict, minProperties: 1 })
/** See the schema of the same name. */
export type LimitsChange = Static<typeof LimitsChange>

const byDefault = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Literal('default', { description: 'What holds for all accounts.' })])

/**
 * The same of an account, for operators: null is no limit also where there is one by default, `default` what holds for all; with its
 * share of the machines while others wait too.
 */
export const AccountLimitsChange = Type.Partial(
  Type.Object({
    requestsPerSecond: byDefault(FIELDS.requestsPerSecond),
    runningJobs: byDefault(FIELDS.runningJobs),
    openJobs: byDefault(FIELDS.openJobs),
    jobCpuMillis: byDefault(FIELDS.jobCpuMillis),
    jobMemoryBytes: byDefault(FIELDS.jobMemoryBytes),
    jobTimeoutSeconds: byDefault(FIELDS.jobTimeoutSeconds),
    batchItems: byDefault(FIELDS.batchItems),
    storageBytes: byDefault(FIELDS.storageBytes),
    monthMicrons: byDefault(FIELDS.monthMicrons),
    weight: Type.Number({ exclusiveMinimum: 0, maximum: 1000, description: 'Its share while others wait too, against theirs; 1 by default.' }),
  }),
  { ...strict, minProperties: 1 },
)
/** See the schema of the same name. */
export type AccountLimitsChange = Static<typeof AccountLimitsChange>

/** What is used of limits. */
export const Usage = Type.Object({
  openJobs: Type.Integer(),
  runningJobs: Type.Integer(),
  storageBytes: Type.Integer(),
  month: Type.String({ description: 'The calendar month (UTC) of what follows, such as 2026-11.' }),
  spentMicrons: Type.Integer({ description: 'What jobs submitted in it have cost.' }),
  reservedMicrons: Type.Integer({ description: 'The worst case of those that have not ended.' }),
})
/** See the schema of the same name. */
export type Usage = Static<typeof Usage>

const both = <T extends TSchema>(schema: T) => Type.Object({ account: schema, project: schema })

/** The limits of a project and of its account, and what is used of both. `weight` is the account's. */
export const LimitsView = Type.Object({ limits: both(Limits), usage: both(Usage), weight: Type.Number() })
/** See the schema of the same name. */
export type LimitsView = Static<typeof LimitsView>

/** The limits of an account, and what is used of them. */
export const AccountLimitsView = Type.Object({ limits: Limits, usage: Usage, weight: Type.Number() })
/** See the schema of the same name. */
export type AccountLimitsView = Static<typeof AccountLimitsView>
