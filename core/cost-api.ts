import { FormatRegistry, type Static, Type } from '@sinclair/typebox'
import { maybe } from './api.ts'

/** What the REST API answers about costs (docs/COSTS.md). Money in microns, 1 EUR = 1,000,000; days are calendar days in UTC. */

// There is no year 0 (ISO 8601 has one, Postgres has none).
FormatRegistry.Set('date', (text) => /^(?!0000)\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && new Date(text).toISOString().startsWith(text))
const Day = (description: string) => Type.String({ format: 'date', description })
const LABEL_KEY = '[A-Za-z0-9][A-Za-z0-9._/-]{0,62}'
const Range = {
  since: Type.Optional(Day('the first day; by default that of this month')),
  until: Type.Optional(Day('the last day; by default today')),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 100, description: 'so many items, the dearest; of days the latest' })),
}

/** What a report of a project may be asked for. */
export const CostQuery = Type.Object(
  {
    project: Type.Optional(Type.String({ description: 'the slug of the project; that of the key when absent' })),
    by: Type.Optional(Type.String({ pattern: `^(day|batch|job|label:${LABEL_KEY})$`, default: 'day', description: 'day, batch, job, or label:KEY' })),
    ...Range,
  },
  { additionalProperties: false },
)

/** What a report of an account may be asked for. */
export const AccountCostQuery = Type.Object(
  {
    by: Type.Optional(
      Type.String({ pattern: `^(day|project|batch|job|label:${LABEL_KEY})$`, default: 'project', description: 'day, project, batch, job, or label:KEY' }),
    ),
    ...Range,
  },
  { additionalProperties: false },
)

const SUMS = {
  attempts: Type.Integer({ description: 'Attempts that ended.' }),
  slotSeconds: Type.Integer({ description: 'Slots × seconds that attempts had of machines, rounded down.' }),
  costMicrons: Type.Integer({ description: 'Their share of what was paid for the machines that they ran on.' }),
  provisionalMicrons: Type.Integer({ description: 'What of it is of hours that are not closed, and may still change.' }),
  chargeMicrons: Type.Integer({ description: 'What they were charged: what counts for monthMicrons.' }),
}

/** What cost how much, by the days in which paid hours began. */
export const CostReport = Type.Object({
  by: Type.String(),
  since: Type.String(),
  until: Type.String(),
  items: Type.Array(
    Type.Object({
      key: maybe(Type.String({ description: 'The day, id or value; null: without one (of no batch, without this label, a job past its retention).' })),
      name: maybe(Type.String({ description: 'Of a batch or job that has one; the slug of a project.' })),
      ...SUMS,
    }),
  ),
  omitted: Type.Integer({ description: 'Items beyond the limit; they are in the total.' }),
  total: Type.Object(SUMS),
})
/** See the schema of the same name. */
export type CostReport = Static<typeof CostReport>

/** What a report of machines may be asked for. */
export const NodeCostQuery = Type.Object(
  {
    by: Type.Optional(Type.String({ pattern: '^(day|node|type)$', default: 'day', description: 'day, node, or type: the kind of machine and its place' })),
    ...Range,
  },
  { additionalProperties: false },
)

const NODE_SUMS = {
  hours: Type.Integer({ description: 'Hours, also those cut short.' }),
  paidMicrons: Type.Integer({ description: 'What was paid for them: costs and idle together, to the micron.' }),
  costMicrons: Type.Integer({ description: 'The shares of all attempts.' }),
  idleMicrons: Type.Integer({ description: 'What nobody used.' }),
}

/** What machines cost, and how much of it nobody used: hours that are closed; `open` are those that are not. */
export const NodeCostReport = Type.Object({
  by: Type.String(),
  since: Type.String(),
  until: Type.String(),
  items: Type.Array(Type.Object({ key: maybe(Type.String({ description: 'null: machines that were set up by hand' })), ...NODE_SUMS })),
  omitted: Type.Integer(),
  total: Type.Object(NODE_SUMS),
  open: Type.Object({ nodes: Type.Integer(), hourMicrons: Type.Integer({ description: 'What those that were bought and are there cost an hour, together.' }) }),
})
/** See the schema of the same name. */
export type NodeCostReport = Static<typeof NodeCostReport>

/** For how many such jobs an estimate is wanted, and in which project. */
export const EstimateQuery = Type.Object(
  {
    project: Type.Optional(Type.String({ description: 'the slug of the project; that of the key when absent' })),
    jobs: Type.Optional(Type.Integer({ minimum: 1, maximum: 100_000, default: 1, description: 'so many of them' })),
  },
  { additionalProperties: false },
)

const range = (description: string) => maybe(Type.Object({ median: Type.Integer(), p90: Type.Integer() }, { description }))

/** What jobs are likely to take and cost, by how those before them did. */
export const Estimate = Type.Object({
  basis: maybe(Type.String({ description: '`script`: jobs with the same command and runtime; `runtime`: with the same runtime; null: there was none.' })),
  n: Type.Integer({ description: 'From so many jobs that succeeded, the latest (at most 1,000). Few say little.' }),
  jobs: Type.Integer(),
  slots: Type.Integer({ description: 'Of each job.' }),
  seconds: maybe(Type.Object({ median: Type.Number(), p90: Type.Number() }, { description: 'On a machine, of each job; without its time in the queue.' })),
  chargeMicrons: range('What all of them would be charged.'),
  costMicrons: range('Their share of the cheapest machine that can be bought now; null also where none is bought.'),
  reserveMicrons: Type.Integer({ description: 'The worst case of all of them, which is reserved at the submit.' }),
})
/** See the schema of the same name. */
export type Estimate = Static<typeof Estimate>
