import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type Configuration, type JWK } from 'oidc-provider'

/**
 * A real OpenID provider in a process of its own: everybody may sign in with any password, as the user whose name they enter; the
 * tokens of those whose name begins with `alone-` name no organisation.
 * What the process at the other end of the channel asks for (`Command`) is answered when it is done. It ends with that one.
 */
export type Command = { rotate: 'add' | 'withdraw' }

/** What the process says. */
export type Reply = { issuer: string } | { kid: string }

const keys: JWK[] = [newKey()]
let serve: RequestListener
const server = createServer((request, response) => serve(request, response))
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const renew = () => {
    // A provider reads its keys once, so there is another over the same store.
    const provider = new Provider(issuer, configure(issuer))
    serve = provider.callback()
  }
  renew()
  process.on('message', ({ rotate }: Command) => {
    keys.unshift(newKey())
    if (rotate === 'withdraw') keys.length = 1
    renew()
    reply({ kid: keys[0]?.kid as string })
  })
  reply({ issuer })
})
process.on('disconnect', () => process.exit())

function reply(message: Reply): void {
  process.send?.(message)
}

function newKey(): JWK {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'ES256', use: 'sig' } as JWK
}

function configure(issuer: string): Configuration {
  const audience = 'https://rgrid.test'
  return {
    jwks: { keys },
    cookies: { keys: [issuer] },
    clients: [
      {
        client_id: 'rgrid-cli',
        client_name: 'rgrid',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        // A native client may use any port of the loopback interface (RFC 8252, 7.3).
        redirect_uris: ['http://127.0.0.1/callback'],
        grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        id_token_signed_response_alg: 'ES256',
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
    findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, email: `${id}@example.com`, email_verified: true, name: id }) }),
    extraTokenClaims: (_, token) => {
      const id = 'accountId' in token ? String(token.accountId) : ''
      const who = { email: `${id}@example.com`, name: id }
      if (id.startsWith('alone-')) return who
      return { ...who, org: { id: 'org_1', slug: 'acme', name: 'Acme', role: id === 'alice' ? 'chief' : 'member' } }
    },
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, indicator) => ({
          scope: '',
          // Another audience is another service's: its tokens are not for us.
          audience: indicator,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        }),
        defaultResource: () => audience,
        useGrantedResource: () => true,
      },
    },
  }
}
