import { type Static, Type } from '@sinclair/typebox'
import { ROLES } from './access.ts'
import { maybe, ProjectView, pageOf, Time } from './api.ts'
import { NewKeyView } from './key-api.ts'

const strict = { additionalProperties: false } as const
const RoleWord = Type.Union(ROLES.map((role) => Type.Literal(role)))
const DisplayName = Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000-\\u001f\\u007f]+$' })

const AccountKind = Type.Union([Type.Literal('personal'), Type.Literal('organisation')])

/** An account: what projects, people and limits belong to. */
export const AccountView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  kind: AccountKind,
  createdAt: Time,
})
/** See the schema of the same name. */
export type AccountView = Static<typeof AccountView>

/** What of an account may be changed. */
export const AccountChange = Type.Object({ name: DisplayName }, strict)

/** An account that a person is a member of. */
export const OwnAccount = Type.Object({
  id: Type.String(),
  name: Type.String(),
  kind: AccountKind,
  role: maybe(Type.Union(RoleWord.anyOf, { description: 'null: a member of single projects only.' })),
})
/** See the schema of the same name. */
export type OwnAccount = Static<typeof OwnAccount>

/** Whom a credential speaks for, and what it may do. */
export const MeView = Type.Object({
  kind: Type.Union([Type.Literal('key'), Type.Literal('user')]),
  id: Type.String(),
  name: Type.String(),
  account: AccountView,
  project: maybe(Type.String({ description: 'The slug of the project that a key is for.' })),
  role: maybe(RoleWord),
  scopes: Type.Array(Type.String({ description: 'Of a key.' })),
  accounts: Type.Array(OwnAccount, { description: 'The accounts that a person is a member of; the header X-RGrid-Account chooses one.' }),
})
/** See the schema of the same name. */
export type MeView = Static<typeof MeView>

/** Who says what somebody is. */
export const MEMBER_SOURCES = ['manual', 'idp', 'personal', 'blocked'] as const
/** Whether a role counts. */
export const MEMBER_STATES = ['active', 'lapsed', 'ended'] as const

/** Somebody who may do something in an account or a project, or could before. */
export const MemberView = Type.Object({
  userId: Type.String(),
  email: maybe(Type.String()),
  name: maybe(Type.String()),
  role: RoleWord,
  source: Type.Union(
    MEMBER_SOURCES.map((source) => Type.Literal(source)),
    {
      description:
        'Who says so: `manual` a member of the account, `idp` the OpenID provider, `personal`: it is the person’s own account; `blocked`: a member of the account took them out, and no sign-in brings them back.',
    },
  ),
  state: Type.Union(
    MEMBER_STATES.map((state) => Type.Literal(state)),
    {
      description:
        '`active`: the role counts. `lapsed`: it counts for a token alone that names the organisation, as none did lately. `ended`: it does not count; the provider, or a member of the account (`source`), says so.',
    },
  ),
  confirmedAt: maybe(Type.String({ format: 'date-time', description: 'When the newest token was made that named the organisation.' })),
  keys: Type.Integer({ description: 'API keys that they made, themselves or with a key of theirs, and that still work.' }),
  createdAt: Time,
})
/** See the schema of the same name. */
export type MemberView = Static<typeof MemberView>

/** The members of an account or a project. */
export const MemberList = pageOf(MemberView)

/** A role that somebody is given. In a project nobody is owner: that is of the account. */
export const MemberRole = Type.Object({ role: RoleWord }, strict)

/** What becomes of the API keys that somebody made who is taken out. */
export const RemovalQuery = Type.Object(
  {
    keys: Type.Optional(
      Type.Union([Type.Literal('revoke'), Type.Literal('keep')], {
        default: 'revoke',
        description: 'What becomes of the API keys that they made, themselves or with a key of theirs.',
      }),
    ),
  },
  strict,
)

/** An API key of somebody who was taken out. */
export const LeftKey = Type.Object({ id: Type.String(), name: Type.String(), project: Type.String({ description: 'Its slug.' }), revokedAt: maybe(Time) })
/** See the schema of the same name. */
export type LeftKey = Static<typeof LeftKey>

/** Somebody who was taken out, and the keys that they left behind. */
export const RemovedMember = Type.Object({
  userId: Type.String(),
  blocked: Type.Boolean({
    description: 'The account is an organisation of the sign-in provider: no sign-in brings them back until somebody gives them a role.',
  }),
  keys: Type.Array(LeftKey, { description: 'The API keys that they made, themselves or with a key of theirs, and that worked until now.' }),
})
/** See the schema of the same name. */
export type RemovedMember = Static<typeof RemovedMember>

/** A project that is to be made. */
export const NewProjectBody = Type.Object(
  {
    slug: Type.String({ pattern: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$', description: 'Its name in addresses: a–z, 0–9 and "-".' }),
    name: Type.Optional(DisplayName),
  },
  strict,
)

/** A project that was just made, with its first API key, whole this once. */
export const NewProjectView = Type.Composite([ProjectView, Type.Object({ apiKey: NewKeyView })])

/** Who did what to which object, from where. */
export const AuditEntry = Type.Object({
  id: Type.Integer(),
  at: Time,
  actor: Type.Object({ kind: Type.String(), id: Type.String(), name: Type.String() }),
  action: Type.String(),
  project: maybe(Type.String()),
  objectId: maybe(Type.String()),
  ip: maybe(Type.String()),
  requestId: maybe(Type.String()),
  details: Type.Record(Type.String(), Type.Unknown()),
})
/** See the schema of the same name. */
export type AuditEntry = Static<typeof AuditEntry>

/** Of an audit log. */
export const AuditPage = pageOf(AuditEntry)

/** What an operator did, as operators see it: with who it was. */
export const OperatorAuditEntry = Type.Composite([
  AuditEntry,
  Type.Object({ account: maybe(Type.String({ description: 'The account that it concerns; null: the installation.' })) }),
])
/** See the schema of the same name. */
export type OperatorAuditEntry = Static<typeof OperatorAuditEntry>

/** Of what operators did. */
export const OperatorAuditPage = pageOf(OperatorAuditEntry)
