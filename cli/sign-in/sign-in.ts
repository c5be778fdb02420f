import { hostname } from 'node:os'
import { RGridError } from '#core/errors.ts'
import type { Login } from '#core/sign-in-api.ts'
import { createClient } from '../client.ts'
import type { Printer } from '../print.ts'
import type { Questions } from '../questions.ts'
import { openBrowser } from './browser.ts'
import { signInByBrowser } from './code-flow.ts'
import { signInByDevice } from './device-flow.ts'
import { chooseLogin, chooseOne } from './offers.ts'

/** How to sign in. */
export interface SignInOptions {
  apiUrl: string
  logins: readonly Login[]
  /** With a code on another device, instead of the browser here. */
  isDevice: boolean
  issuer: string | undefined
  project: string | undefined
  env: NodeJS.ProcessEnv
}

/**
 * Signs a person in and makes a key for a project with the token, which is used for this alone and kept nowhere. Resolves
 * with the key. Throws an RGridError or a UsageError.
 */
export async function signInForKey(options: SignInOptions, print: Printer, questions: Questions): Promise<string> {
  const login = await chooseLogin(options.logins, options.issuer, questions)
  const token = options.isDevice ? await byDevice(login, print) : await byBrowser(login, print, options.env)
  print.say('signed in')
  const client = createClient({ apiUrl: options.apiUrl, apiKey: token, source: 'the sign-in' })
  const project = options.project ?? (await chooseProject(await Array.fromAsync(client.all('GET /v1/projects')), questions))
  const name = `rgrid init on ${hostname()}`.slice(0, 60)
  const { key } = await client.call('POST /v1/projects/:slug/keys', { params: { slug: project }, body: { name } })
  return key
}

function byBrowser(login: Login, print: Printer, env: NodeJS.ProcessEnv): Promise<string> {
  return signInByBrowser(login, (url) => {
    print.say(`Sign in here, in a browser on this machine (elsewhere, use --device):\n\n  ${url}\n`)
    openBrowser(url, env)
  })
}

function byDevice(login: Login, print: Printer): Promise<string> {
  return signInByDevice(login, {
    show({ url, urlWithCode, code }) {
      const direct = urlWithCode === null ? '' : `\nor open ${urlWithCode} and compare the code`
      print.say(`Open ${url} on any device and enter the code\n\n  ${code}\n${direct}`)
    },
  })
}

async function chooseProject(items: readonly { slug: string }[], questions: Questions): Promise<string> {
  if (items.length === 0) throw new RGridError('not_found', 'you are a member of no project yet; ask an owner of one to let you in')
  const project = await chooseOne(items, (item) => item.slug, { wanted: undefined, option: '--project', what: 'project' }, questions)
  return project.slug
}
