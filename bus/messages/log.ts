import { type Static, Type } from '@sinclair/typebox'
import { LogChunk } from '#core/api.ts'

/** One message of an attempt's log; `seq` counts from 1 without a gap, so a repeat can be told. */
export const LogMessage = Type.Object(
  { seq: Type.Integer({ minimum: 1 }), chunks: Type.Array(LogChunk), end: Type.Optional(Type.Boolean({ description: 'The last message of the attempt.' })) },
  { $id: 'LogMessage' },
)
/** See the schema of the same name. */
export type LogMessage = Static<typeof LogMessage>
