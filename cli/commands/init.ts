import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import type { MeView } from '#core/account-api.ts'
import { RGridError } from '#core/errors.ts'
import { createClient } from '../client.ts'
import { type Command, type OptionValues, text } from '../command.ts'
import { noArguments } from '../parse.ts'
import type { Printer } from '../print.ts'
import { checkUrl, credentialsPath } from '../profile.ts'
import { openQuestions, type Questions } from '../questions.ts'
import { findLogins } from '../sign-in/offers.ts'
import { signInForKey } from '../sign-in/sign-in.ts'
import { shown } from '../terminal-text.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid init`. */
export const initCommand: Command = {
  name: 'init',
  usage: '',
  summary:
    'Signs in, or asks for a key, and keeps the API address and the key in ~/.rgrid/credentials (mode 600).\nWithout a key from standard input or RGRID_API_KEY it signs in through the browser, where the API offers that, and makes one,\nfor a project of an account of yours; you may make its first project here.\nThe key is never an argument, which others could see.',
  options: {
    url: { type: 'string', value: 'URL', help: 'the API address' },
    device: { type: 'boolean', help: 'sign in with a code on another device' },
    'with-key': { type: 'boolean', help: 'ask for a key, also where one can sign in' },
    account: { type: 'string', value: 'NAME|ID', help: 'the account, when you are a member of several' },
    project: { type: 'string', value: 'SLUG', help: 'the project that the new key is for; made if it is missing and you may' },
    issuer: { type: 'string', value: 'URL', help: 'where to sign in, when there are several' },
  },
  async run({ print, at, defaults }, options, args) {
    noArguments('init', args)
    if (options.device === true && options['with-key'] === true) throw new UsageError('--device and --with-key exclude each other')
    const questions = openQuestions()
    const answers = async () => {
      const address = text(options, 'url') ?? at.env.RGRID_API_URL ?? (await questions.ask('API address: '))
      const apiUrl = checkUrl(address, 'rgrid init')
      const given = at.env.RGRID_API_KEY
      return { apiUrl, ...(given ? { apiKey: given, isMade: false } : await findKey(apiUrl, options, questions, print, at.env)) }
    }
    const { apiUrl, apiKey, isMade } = await answers().finally(() => questions.close())
    if (!apiKey.startsWith('rgrid_')) throw new UsageError('an API key begins with rgrid_')
    const me = await createClient({ apiUrl, apiKey, source: 'rgrid init' }).call('GET /v1/me')
    const project = projectOf(me)
    if (!isMade) checkWish(me, options)
    const path = keepCredentials(at.home, apiUrl, apiKey)
    const config = join(at.cwd, '.rgrid', 'config.yaml')
    const isNew = !existsSync(config)
    if (isNew) {
      mkdirSync(dirname(config), { recursive: true })
      writeFileSync(config, stringify({ project }))
    }
    print.say(`the key works, for project ${project} of ${shown(me.account.name)}. Kept in ${path}; project defaults in ${config}`)
    if (!isNew && defaults.project !== undefined && defaults.project !== project)
      print.say(`${config} names the project ${shown(defaults.project)}, which this key is not for; change it there`)
    return 0
  },
}

/** A key that is given, or made by signing in. */
interface FoundKey {
  apiKey: string
  isMade: boolean
}

async function findKey(apiUrl: string, options: OptionValues, questions: Questions, print: Printer, env: NodeJS.ProcessEnv): Promise<FoundKey> {
  const isDevice = options.device === true
  const given = isDevice || questions.isTerminal ? undefined : await questions.line()
  if (given !== undefined) return { apiKey: given, isMade: false }
  const logins = options['with-key'] === true ? [] : await findLogins(apiUrl)
  if (logins.length > 0) {
    const [issuer, account, project] = [text(options, 'issuer'), text(options, 'account'), text(options, 'project')]
    return { apiKey: await signInForKey({ apiUrl, logins, isDevice, issuer, account, project, env }, print, questions), isMade: true }
  }
  if (isDevice) throw new UsageError(`one cannot sign in at ${apiUrl}: it takes keys only, or is no https address`)
  return { apiKey: await questions.askSecret('API key: '), isMade: false }
}

function projectOf({ project }: MeView): string {
  if (project === null) throw new RGridError('not_found', 'this key has no project')
  return project
}

/** Throws a UsageError when a key that was given is for another project, or account, than was asked for. */
function checkWish({ account, project }: MeView, options: OptionValues): void {
  const [wantedAccount, wanted] = [text(options, 'account'), text(options, 'project')]
  if (wantedAccount !== undefined && wantedAccount !== account.id && wantedAccount !== account.name)
    throw new UsageError(`--account: the key is of the account ${shown(account.name)} (${account.id})`)
  if (wanted !== undefined && wanted !== project) throw new UsageError(`--project: the key is for the project ${project}`)
}

function keepCredentials(home: string, apiUrl: string, apiKey: string): string {
  const path = credentialsPath(home)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // The mode of a file that is there already stays: set before the key is in it.
  if (existsSync(path)) chmodSync(path, 0o600)
  writeFileSync(path, `${JSON.stringify({ apiUrl, apiKey })}\n`, { mode: 0o600 })
  return path
}
