import { type Static, type TObject, Type } from '@sinclair/typebox'
import { maybe, Time, words } from './api.ts'
import { CAUSES, FINAL_JOB_STATES, JOB_STATES, LIVE_ATTEMPT_STATES } from './job/state.ts'
import { NODE_STATES } from './node.ts'

/** Why a job is where it is, for machines: exactly one reason of a closed list (docs/EXPLAIN.md). */

const Failure = Type.Object({ code: Type.String({ description: 'The provider’s own word.' }), message: maybe(Type.String()) })

/** A cell of the ladder that has nothing for the job now. */
export const CellTrouble = Type.Object({
  serverType: Type.String(),
  location: Type.String(),
  error: maybe(Failure),
  retryAt: maybe(Time),
})
/** See the schema of the same name. */
export type CellTrouble = Static<typeof CellTrouble>

/** Why no machine is bought: the planner's own limits, and what the provider says. */
export const CAPACITY_SHORTAGES = ['max_nodes', 'no_cell', 'limit', 'rate_limited', 'away', 'refused', 'boot_failing'] as const
/** See CAPACITY_SHORTAGES. */
export type CapacityShortage = (typeof CAPACITY_SHORTAGES)[number]

/** Why nothing at all is started. */
export const PAUSES = ['no_scheduler', 'unheard', 'drained', 'cordoned'] as const

const Size = { slots: Type.Integer(), memoryBytes: Type.Integer() }
const Queued = {
  ahead: Type.Integer({ description: 'Jobs of the same account before it; counting stops at 1000.' }),
  orMore: Type.Boolean({ description: 'There may be more ahead than were counted.' }),
}

const DETAILS = {
  final: Type.Object({ state: words(FINAL_JOB_STATES), cause: words(CAUSES), exitCode: maybe(Type.Integer()), message: maybe(Type.String()) }),
  running: Type.Object({
    attemptId: Type.String(),
    attempt: Type.Integer(),
    nodeId: Type.String(),
    phase: words(LIVE_ATTEMPT_STATES),
    since: Time,
    cancelRequested: Type.Boolean(),
  }),
  parallelism: Type.Object({ batchId: Type.String(), parallel: Type.Integer(), underWay: Type.Integer() }),
  backoff: Type.Object({
    cause: words(CAUSES),
    spends: Type.Unsafe<'retry' | 'infra'>(Type.String({ enum: ['retry', 'infra'], description: 'Whether it spends one of the job’s own retries.' })),
    retry: Type.Integer(),
    of: Type.Integer(),
    at: Time,
  }),
  not_before: Type.Object({ at: Time }),
  too_large: Type.Object({ ...Size, largest: Type.Object(Size, { description: 'The machine that comes closest.' }) }),
  paused: Type.Object({ cause: words(PAUSES) }),
  quota: Type.Object({ scope: words(['account', 'project']), limit: Type.Integer(), running: Type.Integer(), ...Queued }),
  queue: Type.Object({
    ...Queued,
    estimatedSeconds: maybe(Type.Integer({ description: 'By how fast jobs of the account ended in the last ten minutes; null: too few did.' })),
    again: maybe(Type.Object({ cause: words(CAUSES), attempts: Type.Integer() }, { description: 'It ran before, and is to run again.' })),
  }),
  booting: Type.Object({
    nodeId: Type.String(),
    state: words(NODE_STATES),
    serverType: maybe(Type.String()),
    location: maybe(Type.String()),
    since: Time,
    readyAt: Type.String({ format: 'date-time', description: 'Expected: by how long boots took.' }),
  }),
  budget: Type.Object({ provider: Type.String(), since: maybe(Time) }),
  capacity: Type.Object({
    provider: Type.String(),
    shortage: words(CAPACITY_SHORTAGES),
    error: maybe(Type.String({ description: 'What the provider said.' })),
    since: maybe(Time),
    retryAt: maybe(Type.String({ format: 'date-time', description: 'Nothing is bought before.' })),
    cells: Type.Array(CellTrouble),
  }),
  no_nodes: Type.Object({
    provider: maybe(Type.String({ description: 'Where one is bought that would hold it; null: there is none, or machines are set up by hand.' })),
    lost: Type.Integer(),
    leaving: Type.Integer(),
  }),
} as const satisfies Record<string, TObject>

/** The closed list of reasons. */
export type ReasonCode = keyof typeof DETAILS
/** See ReasonCode. */
export const REASON_CODES = Object.keys(DETAILS) as ReasonCode[]

type DetailsOf = { [Code in ReasonCode]: Static<(typeof DETAILS)[Code]> }
/** A reason: its code, and what belongs to it. */
export type Reason = { [Code in ReasonCode]: { code: Code; details: DetailsOf[Code] } }[ReasonCode]
/** The reason with this code. */
export type ReasonOf<Code extends ReasonCode> = Extract<Reason, { code: Code }>

const Common = { jobId: Type.String(), state: words(JOB_STATES), message: Type.String({ description: 'The same in words.' }) }

/** Why a job is where it is. */
export type Explanation = Reason & { jobId: string; state: (typeof JOB_STATES)[number]; message: string }
/** See the type of the same name. */
export const Explanation = Type.Unsafe<Explanation>(
  Type.Union(
    REASON_CODES.map((code) => Type.Object({ ...Common, code: Type.Literal(code), details: DETAILS[code] }, { title: code })),
    { description: 'Told apart by `code`.' },
  ),
)
