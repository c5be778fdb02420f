import { type Static, Type } from '@sinclair/typebox'

/** "Work is ready." A node that hears it claims for all its free slots. */
export const Wake = Type.Object({ jobs: Type.Integer({ minimum: 1 }) }, { $id: 'Wake' })

/** A node is alive. */
export const Heartbeat = Type.Object(
  { state: Type.Union([Type.Literal('ready'), Type.Literal('draining')]), freeSlots: Type.Integer({ minimum: 0 }), attempts: Type.Integer({ minimum: 0 }) },
  { $id: 'Heartbeat' },
)
/** See the schema of the same name. */
export type Heartbeat = Static<typeof Heartbeat>

/** A node is told something; may be lost, the next renewal says it again. */
export const Control = Type.Union(
  [
    Type.Object({ kind: Type.Literal('cancel'), attemptId: Type.String() }),
    // `patient`: what runs may take its time; else it is handed back after a while.
    Type.Object({ kind: Type.Literal('drain'), patient: Type.Optional(Type.Boolean()) }),
    Type.Object({ kind: Type.Literal('resume') }),
    // There is work that suits it: it is to ask now.
    Type.Object({ kind: Type.Literal('claim') }),
  ],
  {
    $id: 'Control',
  },
)
/** See the schema of the same name. */
export type Control = Static<typeof Control>

/** Of the images that a node has it tells of so many, those used last. */
export const MAX_NODE_IMAGES = 100

/** A node asks about the leases it believes to hold. `containers`: the attempts whose containers its engine has. */
export const RenewRequest = Type.Object(
  {
    attempts: Type.Array(Type.Object({ attemptId: Type.String(), leaseToken: Type.String() }), { maxItems: 1024 }),
    containers: Type.Array(Type.String({ maxLength: 100 }), { maxItems: 4096 }),
    /** Keys of the images it has (core/image-name.ts); absent from a node of before there were any. */
    images: Type.Optional(Type.Array(Type.String({ maxLength: 400 }), { maxItems: MAX_NODE_IMAGES })),
  },
  { $id: 'RenewRequest' },
)
/** See the schema of the same name. */
export type RenewRequest = Static<typeof RenewRequest>

/**
 * The leases that are over (stop, forget), those to be cancelled (stop, report), whether the node is to drain, and images that
 * many jobs have used lately and it does not have (absent from a scheduler of before there were any).
 */
export const RenewReply = Type.Object(
  {
    stale: Type.Array(Type.String()),
    cancel: Type.Array(Type.String()),
    drain: Type.Boolean(),
    /** Of a drain: what runs may take its time. */
    patient: Type.Optional(Type.Boolean()),
    pull: Type.Optional(Type.Array(Type.String({ maxLength: 400 }), { maxItems: 16 })),
  },
  { $id: 'RenewReply' },
)
/** See the schema of the same name. */
export type RenewReply = Static<typeof RenewReply>
