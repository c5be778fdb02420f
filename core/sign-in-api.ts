import { type Static, Type } from '@sinclair/typebox'

/** An issuer at which the command line can sign in, as a public client (RFC 8252): it has no secret. */
export const Login = Type.Object(
  {
    issuer: Type.String(),
    clientId: Type.String(),
    scopes: Type.Array(Type.String()),
    authorizationEndpoint: Type.String(),
    tokenEndpoint: Type.String(),
    deviceAuthorizationEndpoint: Type.Union([Type.String(), Type.Null()], { description: 'null when the issuer has no device flow (RFC 8628)' }),
    audience: Type.Union([Type.String(), Type.Null()], { description: 'what the access token is asked for' }),
  },
  { title: 'Login' },
)
/** See the schema of the same name. */
export type Login = Static<typeof Login>

/** `GET /v1/auth`: where one can sign in; an empty list when only keys are taken. */
export const SignInView = Type.Object({ issuers: Type.Array(Login) }, { title: 'SignIn' })
/** See the schema of the same name. */
export type SignInView = Static<typeof SignInView>
