import { type Static, Type } from '@sinclair/typebox'

/** The limited requests that a gateway let through since it last said so, by account or project, with the limit that it knows of. */
export const RequestsTaken = Type.Object(
  {
    gateway: Type.String({ maxLength: 100 }),
    taken: Type.Array(Type.Object({ id: Type.String({ maxLength: 100 }), perSecond: Type.Integer({ minimum: 1 }), requests: Type.Integer({ minimum: 1 }) }), {
      maxItems: 1000,
    }),
  },
  { $id: 'RequestsTaken' },
)
/** See the schema of the same name. */
export type RequestsTaken = Static<typeof RequestsTaken>
