import { type Static, Type } from '@sinclair/typebox'
import { maybe, pageOf, Time, words } from './api.ts'
import { ATTEMPT_STATES } from './job/state.ts'
import { ARCHITECTURES, NODE_STATES } from './node.ts'

/** What the REST API answers nodes and operators. */

/** A machine that runs jobs, was one, or is to become one. */
export const NodeView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  state: words(NODE_STATES),
  stateAt: Type.String({ format: 'date-time', description: 'Since when it is in this state.' }),
  createdAt: Time,
  enrolledAt: maybe(Time),
  lastSeenAt: maybe(Time),
  endedAt: maybe(Time),
  version: maybe(Type.String()),
  slots: Type.Integer(),
  usedSlots: Type.Integer(),
  memoryBytes: Type.Integer(),
  usedMemoryBytes: Type.Integer(),
  arch: words(ARCHITECTURES),
  provider: maybe(Type.String({ description: 'null: set up by hand; nobody buys or deletes it.' })),
  serverType: maybe(Type.String()),
  location: maybe(Type.String()),
  serverId: maybe(Type.String({ description: 'The provider’s own id of it.' })),
  hourMicrons: maybe(Type.Integer({ description: 'What an hour of it costs, in microns (1 EUR = 1,000,000); null: set up by hand.' })),
  billedFrom: maybe(Type.String({ format: 'date-time', description: 'From here on its hours are paid.' })),
  paidUntil: maybe(Type.String({ format: 'date-time', description: 'The end of the hour that is paid: each is, from its beginning.' })),
  drainRequested: Type.Boolean({ description: 'An operator wants no more work there.' }),
  cordonReason: maybe(Type.String({ description: 'Why it was taken out of work by itself: it fails jobs that others do.' })),
  verdict: maybe(Type.String({ description: 'Why it will or will not be removed.' })),
  failure: maybe(Type.String({ description: 'Why it failed.' })),
  imageCount: Type.Integer(),
})
/** See the schema of the same name. */
export type NodeView = Static<typeof NodeView>

/** The same of one node, with its images and what runs there. */
export const NodeDetail = Type.Composite([
  NodeView,
  Type.Object({
    images: Type.Array(Type.String()),
    attempts: Type.Array(Type.Object({ attemptId: Type.String(), jobId: Type.String(), state: words(ATTEMPT_STATES), since: Time })),
  }),
])
/** See the schema of the same name. */
export type NodeDetail = Static<typeof NodeDetail>

/** A type of machine at a place, as it was seen last. */
export const CellView = Type.Object({
  provider: Type.String(),
  serverType: Type.String(),
  location: Type.String(),
  place: Type.Integer({ description: 'Those of a lower place are tried first.' }),
  arch: words(ARCHITECTURES),
  slots: Type.Integer(),
  memoryBytes: Type.Integer(),
  hourMicrons: maybe(Type.Integer({ description: 'null: the provider says no price, and it is not bought.' })),
  available: Type.Boolean(),
  error: maybe(Type.Object({ code: Type.String(), message: maybe(Type.String()), at: maybe(Time) }, { description: 'The last one.' })),
  retryAt: maybe(Time),
  checkedAt: Time,
})
/** See the schema of the same name. */
export type CellView = Static<typeof CellView>

/** What can be bought, in the order in which it is tried; and what the planner decided last (null: nothing is bought here). */
export const CellList = Type.Object({
  items: Type.Array(CellView),
  scaling: maybe(
    Type.Object({
      provider: Type.String(),
      decidedAt: Time,
      boughtAt: maybe(Time),
      missingSlots: Type.Integer(),
      shortage: maybe(Type.Object({ code: Type.String(), detail: maybe(Type.String()), since: maybe(Time) })),
      bootSeconds: Type.Number(),
    }),
  ),
})
/** See the schema of the same name. */
export type CellList = Static<typeof CellList>

/** Nodes, the newest first. */
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
  natsCa: Type.Optional(Type.String({ description: 'PEM of the CA that NATS must prove itself by; `natsUrl` then begins with tls://.' })),
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
