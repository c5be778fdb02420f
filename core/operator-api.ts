import { type Static, Type } from '@sinclair/typebox'
import { maybe, pageOf, Time, words } from './api.ts'

/** What the REST API answers nodes and operators. */

/** A machine that runs jobs. */
export const NodeView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  state: words(['ready', 'draining', 'lost', 'gone']),
  slots: Type.Integer(),
  usedSlots: Type.Integer(),
  memoryBytes: Type.Integer(),
  version: Type.String(),
  enrolledAt: Time,
  lastSeenAt: maybe(Time),
  drainRequested: Type.Boolean({ description: 'An operator wants no more work there.' }),
})
/** See the schema of the same name. */
export type NodeView = Static<typeof NodeView>

/** All nodes. */
export const NodeList = pageOf(NodeView)
/** See the schema of the same name. */
export type NodeList = Static<typeof NodeList>

/** What a new node says of itself; the token is used up by it. `publicKey` is the node's own NATS user nkey. */
export const EnrolRequest = Type.Object(
  {
    token: Type.String({ minLength: 20, maxLength: 200 }),
    publicKey: Type.String({ pattern: '^U[A-Z2-7]{55}$' }),
    name: Type.String({ pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$' }),
    pool: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    slots: Type.Integer({ minimum: 1, maximum: 1024 }),
    memoryBytes: Type.Integer({ minimum: 64 * 2 ** 20 }),
    version: Type.String({ pattern: '^[\\x21-\\x7e]{1,64}$' }),
  },
  { additionalProperties: false },
)
/** See the schema of the same name. */
export type EnrolRequest = Static<typeof EnrolRequest>

/** Asks for a fresh credential: `signature` is the node key's signature (base64) over `<nodeId>:<issuedAt>`. */
export const CredentialRequest = Type.Object(
  { issuedAt: Type.Integer({ description: 'Milliseconds since 1970; within a minute of the gateway’s clock.' }), signature: Type.String({ maxLength: 200 }) },
  { additionalProperties: false },
)
/** See the schema of the same name. */
export type CredentialRequest = Static<typeof CredentialRequest>

/** A node's identity on the bus; the JWT must be renewed before it expires. */
export const NodeCredential = Type.Object({
  nodeId: Type.String(),
  jwt: Type.String(),
  expiresAt: Time,
  natsUrl: Type.String(),
})
/** See the schema of the same name. */
export type NodeCredential = Static<typeof NodeCredential>

/** What a look at the whole installation found. */
export const Diagnosis = Type.Object({
  ok: Type.Boolean(),
  checks: Type.Array(
    Type.Object({
      name: Type.String(),
      ok: Type.Boolean(),
      checked: Type.Integer({ description: 'How many things were looked at.' }),
      problems: Type.Array(Type.String(), { description: 'In words, with ids; at most 100.' }),
      hint: Type.String({ description: 'What to do about it.' }),
    }),
  ),
})
/** See the schema of the same name. */
export type Diagnosis = Static<typeof Diagnosis>
