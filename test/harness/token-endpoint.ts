import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Login } from '#core/sign-in-api.ts'

/** One answer: a status and a document, or nothing at all when the connection is to break. */
export type Answer = readonly [number, unknown] | 'break'

/** The addresses of an issuer for signing in, which answer from a script and believe nothing. */
export interface TokenEndpoint {
  login: Login
  /** Each form that came: its path first. */
  forms: { path: string; fields: Record<string, string> }[]
  stop(): Promise<void>
}

/** Starts one on loopback; `answers` are given in order, and one request too many is answered with status 500. */
export async function startTokenEndpoint(answers: readonly Answer[]): Promise<TokenEndpoint> {
  const forms: TokenEndpoint['forms'] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    const isForm = request.method === 'POST' && request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true
    const answer = isForm ? answers[forms.length] : undefined
    forms.push({ path: request.url ?? '', fields: Object.fromEntries(new URLSearchParams(body)) })
    if (answer === 'break') return void response.destroy()
    const [status, document] = answer ?? [500, {}]
    response.writeHead(status, { 'content-type': 'application/json' }).end(typeof document === 'string' ? document : JSON.stringify(document))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    login: {
      issuer: url,
      clientId: 'rgrid-cli',
      scopes: ['openid'],
      authorizationEndpoint: `${url}/authorize`,
      tokenEndpoint: `${url}/token`,
      deviceAuthorizationEndpoint: `${url}/device`,
      audience: 'https://rgrid.test',
    },
    forms,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
