import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose'
import { createLog } from '#core/service/log.ts'
import { nowMs } from '#core/service/time.ts'
import { parseOidcConfig } from '../../gateway/oidc/config.ts'
import { createOidc, type Oidc, type OidcTiming } from '../../gateway/oidc/oidc.ts'

/** A key of an issuer, whole. */
export interface SigningKey {
  kid: string
  privateKey: KeyObject
  publicKey: KeyObject
}

/** An issuer that signs whatever a test wants, and whose addresses answer as a test wants. For a real one see openid-provider.ts. */
export interface Issuer {
  url: string
  audience: string
  key: SigningKey
  /** What it publishes. */
  keys: SigningKey[]
  /** The paths that were asked, in order. */
  asked: string[]
  /** How it answers for its keys from now on; undefined: as it should. */
  answer: RequestListener | undefined
  /** What it says of itself instead of the truth. */
  metadata: unknown
  /** The claims of a good token, which is good for an hour, changed; a claim set to undefined is left out. */
  sign(claims?: JWTPayload, header?: Partial<JWTHeaderParameters>, key?: SigningKey): Promise<string>
  stop(): Promise<void>
}

/** A fresh key for ES256. */
export function createSigningKey(kid: string = randomUUID()): SigningKey {
  return { kid, ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) }
}

/** Starts one on loopback. Call `stop` in the end. */
export async function startIssuer(): Promise<Issuer> {
  const key = createSigningKey()
  const publish: RequestListener = (_, response) =>
    response.end(JSON.stringify({ keys: issuer.keys.map(({ kid, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' })) }))
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    issuer.asked.push(path)
    if (path === '/keys') return (issuer.answer ?? publish)(request, response)
    if (path === '/.well-known/openid-configuration') {
      return void response.end(JSON.stringify(issuer.metadata ?? { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }))
    }
    response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer: Issuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    audience: 'https://rgrid.test',
    key,
    keys: [key],
    asked: [],
    answer: undefined,
    metadata: undefined,
    async sign(claims = {}, header = {}, by = issuer.key) {
      const now = Math.floor(nowMs() / 1000)
      const whole = { iss: issuer.url, aud: issuer.audience, sub: 'user_1', iat: now, exp: now + 3600, ...claims }
      return new SignJWT(whole).setProtectedHeader({ alg: 'ES256', kid: by.kid, typ: 'JWT', ...header }).sign(by.privateKey)
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return issuer
}

/** An Oidc for it, with what it logged. `entry` changes the configuration, `timing` the times. */
export function oidcFor(issuer: Issuer, entry: Record<string, unknown> = {}, timing: Partial<OidcTiming> = {}): { oidc: Oidc; logged: string[] } {
  const logged: string[] = []
  const sink = new Writable({
    write(line, _, done) {
      logged.push(String(line))
      done()
    },
  })
  const config = parseOidcConfig([{ issuer: issuer.url, jwksUrl: `${issuer.url}/keys`, audiences: [issuer.audience], ...entry }], 'the test')
  return { oidc: createOidc(config, { log: createLog('gateway', 'debug', sink), timing }), logged }
}
