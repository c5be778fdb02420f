import { type Static, Type } from '@sinclair/typebox'
import { JOB_STATES } from './job/state.ts'

/** What lists take in their query. */

const strict = { additionalProperties: false } as const

/** The size of a page, and where it begins. */
export const pageQuery = (byDefault: number, most: number) => ({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: most, default: byDefault, description: 'so many at most' })),
  cursor: Type.Optional(Type.String({ maxLength: 2048, description: '`nextCursor` of the page before, with the same filters' })),
})

/** Of lists without filters: short ones, as a rule. */
export const PlainPage = Type.Object(pageQuery(200, 1000), strict)

/** Of the outputs of a job. */
export const ArtifactQuery = Type.Object(pageQuery(1000, 1000), strict)

/** Of nodes. */
export const NodeQuery = Type.Object(
  { all: Type.Optional(Type.Boolean({ description: 'Those too that are gone, or failed, since a day.' })), ...pageQuery(200, 1000) },
  strict,
)

/** Of jobs. */
export const JobQuery = Type.Object(
  {
    state: Type.Optional(
      Type.String({ pattern: `^(${JOB_STATES.join('|')})(,(${JOB_STATES.join('|')}))*$`, description: 'one or more states, separated by commas' }),
    ),
    batch: Type.Optional(Type.String({ description: 'only those of this batch' })),
    name: Type.Optional(Type.String()),
    label: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())], { description: 'key=value; may be repeated' })),
    ...pageQuery(50, 200),
  },
  strict,
)
/** See the schema of the same name. */
export type JobQuery = Static<typeof JobQuery>
