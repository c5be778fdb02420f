import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Login } from '#core/sign-in-api.ts'
import type { Command, Reply } from './openid-provider-process.ts'

/** The certified `oidc-provider`, running as its own process on loopback (openid-provider-process.ts). */
export interface OpenidProvider {
  issuer: string
  /** An entry of RGRID_OIDC_FILE for it, with `rgrid-cli` as the client of the command line. */
  entry: Record<string, unknown>
  /** How the command line would be told to sign in. */
  login: Login
  /** Signs with a new key from now on; the old one stays published, or is withdrawn. Resolves with the new key's id. */
  rotate(how: 'add' | 'withdraw'): Promise<string>
  stop(): Promise<void>
}

/** Starts one. Call `stop` in the end. */
export async function startOpenidProvider(): Promise<OpenidProvider> {
  const child = fork(join(import.meta.dirname, 'openid-provider-process.ts'), { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], execArgv: [] })
  let said = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text))
  const next = () => reply(child, () => said)
  const first = await next()
  if (!('issuer' in first)) throw new Error('the provider did not say its name')
  const { issuer } = first
  const audience = 'https://rgrid.test'
  return {
    issuer,
    entry: {
      issuer,
      audiences: [audience],
      authorizedParties: ['rgrid-cli'],
      claims: { organisationId: 'org.id', organisationSlug: 'org.slug', organisationName: 'org.name', organisationRole: 'org.role' },
      roles: { chief: 'owner', member: 'developer' },
      login: { clientId: 'rgrid-cli', scopes: ['openid', 'email'] },
    },
    login: {
      issuer,
      clientId: 'rgrid-cli',
      scopes: ['openid', 'email'],
      authorizationEndpoint: `${issuer}/auth`,
      tokenEndpoint: `${issuer}/token`,
      deviceAuthorizationEndpoint: `${issuer}/device/auth`,
      audience,
    },
    async rotate(how) {
      const answer = next()
      child.send({ rotate: how } satisfies Command)
      const message = await answer
      return 'kid' in message ? message.kid : ''
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}

async function reply(child: ChildProcess, said: () => string): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>()
  const onExit = () => reject(new Error(`the OpenID provider ended: ${said()}`))
  child.once('message', (message: Reply) => {
    child.off('exit', onExit)
    resolve(message)
  })
  child.once('exit', onExit)
  return promise
}
