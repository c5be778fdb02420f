import type { Login } from '#core/sign-in-api.ts'
import { createClient } from '../client.ts'
import { commandLine } from '../command-line.ts'
import type { Printer } from '../print.ts'
import type { Questions } from '../questions.ts'
import { shown } from '../terminal-text.ts'
import { chooseAccount, readMe } from './account.ts'
import { openBrowser } from './browser.ts'
import { signInByBrowser } from './code-flow.ts'
import { signInByDevice } from './device-flow.ts'
import { chooseLogin } from './offers.ts'
import { makeProjectKey } from './project-key.ts'

/** How to sign in. */
export interface SignInOptions {
  apiUrl: string
  logins: readonly Login[]
  /** With a code on another device, instead of the browser here. */
  isDevice: boolean
  issuer: string | undefined
  /** The account by name or id, and the project by slug, where they are given. */
  account: string | undefined
  project: string | undefined
  env: NodeJS.ProcessEnv
}

/**
 * Signs a person in and makes a key with the token, which is used for this alone and kept nowhere: for a project of an account
 * of theirs, which they choose, and may make. Resolves with the key. Throws an RGridError or a UsageError.
 */
export async function signInForKey(options: SignInOptions, print: Printer, questions: Questions): Promise<string> {
  const login = await chooseLogin(options.logins, options.issuer, questions)
  const token = options.isDevice ? await byDevice(login, print) : await byBrowser(login, print, options.env)
  const profile = { apiUrl: options.apiUrl, apiKey: token, source: 'the sign-in' }
  const me = await readMe(profile, options.account)
  print.say(`signed in as ${shown(me.name)}`)
  const account = await chooseAccount(me.accounts, options.account, questions)
  const client = createClient({ ...profile, account: account.id })
  const commandFor = (slug: string) => commandAgain(options, me.accounts.length > 1 ? account.id : undefined, slug)
  return makeProjectKey(client, { account, wanted: options.project, commandFor }, print, questions)
}

/** The command line that does the same for this account and project. */
function commandAgain({ apiUrl, isDevice, issuer }: SignInOptions, accountId: string | undefined, project: string): string {
  const given = (name: string, value: string | undefined) => (value === undefined ? [] : [name, value])
  const how = [...(isDevice ? ['--device'] : []), ...given('--issuer', issuer)]
  return commandLine(['rgrid', 'init', '--url', apiUrl, ...how, ...given('--account', accountId), '--project', project])
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
