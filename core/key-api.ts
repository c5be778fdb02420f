import { type Static, Type } from '@sinclair/typebox'
import { OPERATOR, SCOPES } from './access.ts'
import { maybe, pageOf, Time } from './api.ts'

const strict = { additionalProperties: false } as const

/** What a key may do: `*` is everything within its project. */
export const Scope = Type.Union(
  ['*', ...SCOPES, OPERATOR].map((scope) => Type.Literal(scope)),
  { description: 'What the key may do; `*`: everything within its project.' },
)

/** An API key as it is shown: never the key itself. */
export const KeyView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  prefix: Type.String({ description: 'The third part of the key: it tells which one it is.' }),
  environment: Type.Union([Type.Literal('live'), Type.Literal('test')]),
  scopes: Type.Array(Type.String()),
  createdBy: maybe(Type.String()),
  createdAt: Time,
  expiresAt: maybe(Time),
  revokedAt: maybe(Time),
  lastUsedAt: maybe(Type.String({ format: 'date-time', description: 'To the minute.' })),
  replacedBy: maybe(Type.String()),
})
/** See the schema of the same name. */
export type KeyView = Static<typeof KeyView>

/** The keys of a project. */
export const KeyList = pageOf(KeyView)

/** A key that was just made: `key` is told this once. */
export const NewKeyView = Type.Composite([KeyView, Type.Object({ key: Type.String() })])
/** See the schema of the same name. */
export type NewKeyView = Static<typeof NewKeyView>

/** A wish for a key. */
export const NewKeyBody = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000-\\u001f\\u007f]+$', description: 'To tell it from others.' }),
    scopes: Type.Optional(Type.Array(Scope, { minItems: 1, maxItems: 50, uniqueItems: true, description: 'Without them: all that its maker may do.' })),
    environment: Type.Optional(Type.Union([Type.Literal('live'), Type.Literal('test')], { default: 'live' })),
    expiresInSeconds: Type.Optional(Type.Integer({ minimum: 60, maximum: 10 * 366 * 86_400, description: 'Without it the key does not expire.' })),
  },
  strict,
)
/** See the schema of the same name. */
export type NewKeyBody = Static<typeof NewKeyBody>

/** How long the old key still works after a rotation. */
export const KeyRotation = Type.Object({ overlapSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 30 * 86_400, default: 86_400 })) }, strict)
