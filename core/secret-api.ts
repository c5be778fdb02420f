import { type Static, Type } from '@sinclair/typebox'
import { maybe, pageOf, Time, words } from './api.ts'

const strict = { additionalProperties: false } as const

/** What the REST API takes and answers about secrets of projects. */

/** The longest value, in bytes. */
export const MAX_SECRET_BYTES = 65_536

/** For what a secret is: a variable of jobs, or a registry that images are pulled from. */
export const SECRET_KINDS = ['value', 'registry'] as const
/** One of them. */
export type SecretKind = (typeof SECRET_KINDS)[number]

const withoutNul = '^[^\\u0000]+$'

/** Credentials of a registry. */
export const RegistryCredentials = Type.Object(
  {
    server: Type.String({
      minLength: 1,
      maxLength: 253,
      pattern: '^(https?://)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/.*)?$',
      description: 'The host of its images, with the port if they name one: ghcr.io, docker.io, registry.example.com:5000.',
    }),
    username: Type.String({ minLength: 1, maxLength: 1024, pattern: withoutNul }),
    password: Type.String({ minLength: 1, maxLength: 32_768, pattern: withoutNul, description: 'A password or, better, a token that may only read.' }),
  },
  strict,
)
/** See the schema of the same name. */
export type RegistryCredentials = Static<typeof RegistryCredentials>

/** A secret to be kept: exactly one of the two. */
export const SecretBody = Type.Object(
  {
    value: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: MAX_SECRET_BYTES,
        pattern: withoutNul,
        description: 'What jobs find in the variable that asks for it; at most 64 KiB, without NUL.',
      }),
    ),
    registry: Type.Optional(RegistryCredentials),
  },
  strict,
)
/** See the schema of the same name. */
export type SecretBody = Static<typeof SecretBody>

/** A secret as it is shown: never what it holds. */
export const SecretView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  kind: words(SECRET_KINDS),
  server: maybe(Type.String({ description: 'Of kind `registry`: whose images are pulled with it.' })),
  version: Type.Integer({ description: '1, and one more each time that it is set.' }),
  createdAt: Time,
  updatedAt: Time,
  lastUsedAt: maybe(Type.String({ format: 'date-time', description: 'When a job last got it; to the minute.' })),
})
/** See the schema of the same name. */
export type SecretView = Static<typeof SecretView>

/** The secrets of a project. */
export const SecretList = pageOf(SecretView)
/** See the schema of the same name. */
export type SecretList = Static<typeof SecretList>
