import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { createClient } from '../client.ts'
import { type Command, type OptionValues, text } from '../command.ts'
import { noArguments } from '../parse.ts'
import type { Printer } from '../print.ts'
import { checkUrl, credentialsPath } from '../profile.ts'
import { openQuestions, type Questions } from '../questions.ts'
import { findLogins } from '../sign-in/offers.ts'
import { signInForKey } from '../sign-in/sign-in.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid init`. */
export const initCommand: Command = {
  name: 'init',
  usage: '',
  summary:
    'Signs in, or asks for a key, and keeps the API address and the key in ~/.rgrid/credentials (mode 600).\nWithout a key from standard input or RGRID_API_KEY it signs in through the browser, where the API offers that, and makes one.\nThe key is never an argument, which others could see.',
  options: {
    url: { type: 'string', value: 'URL', help: 'the API address' },
    device: { type: 'boolean', help: 'sign in with a code on another device' },
    'with-key': { type: 'boolean', help: 'ask for a key, also where one can sign in' },
    project: { type: 'string', value: 'SLUG', help: 'the project that the new key is for' },
    issuer: { type: 'string', value: 'URL', help: 'where to sign in, when there are several' },
  },
  async run({ print, at }, options, args) {
    noArguments('init', args)
    if (options.device === true && options['with-key'] === true) throw new UsageError('--device and --with-key exclude each other')
    const questions = openQuestions()
    const answers = async () => {
      const address = text(options, 'url') ?? at.env.RGRID_API_URL ?? (await questions.ask('API address: '))
      const apiUrl = checkUrl(address, 'rgrid init')
      return { apiUrl, apiKey: at.env.RGRID_API_KEY || (await findKey(apiUrl, options, questions, print, at.env)) }
    }
    const { apiUrl, apiKey } = await answers().finally(() => questions.close())
    if (!apiKey.startsWith('rgrid_')) throw new UsageError('an API key begins with rgrid_')
    const project = await createClient({ apiUrl, apiKey, source: 'rgrid init' }).project()
    const path = keepCredentials(at.home, apiUrl, apiKey)
    const config = join(at.cwd, '.rgrid', 'config.yaml')
    if (!existsSync(config)) {
      mkdirSync(dirname(config), { recursive: true })
      writeFileSync(config, stringify({ project }))
    }
    print.say(`the key works, for project ${project}. Kept in ${path}; project defaults in ${config}`)
    return 0
  },
}

/** A key that is given, or by signing in. */
async function findKey(apiUrl: string, options: OptionValues, questions: Questions, print: Printer, env: NodeJS.ProcessEnv): Promise<string> {
  const isDevice = options.device === true
  const given = isDevice || questions.isTerminal ? undefined : await questions.line()
  if (given !== undefined) return given
  const logins = options['with-key'] === true ? [] : await findLogins(apiUrl)
  if (logins.length > 0)
    return signInForKey({ apiUrl, logins, isDevice, issuer: text(options, 'issuer'), project: text(options, 'project'), env }, print, questions)
  if (isDevice) throw new UsageError(`one cannot sign in at ${apiUrl}: it takes keys only, or is no https address`)
  return questions.askSecret('API key: ')
}

function keepCredentials(home: string, apiUrl: string, apiKey: string): string {
  const path = credentialsPath(home)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // The mode of a file that is there already stays: set before the key is in it.
  if (existsSync(path)) chmodSync(path, 0o600)
  writeFileSync(path, `${JSON.stringify({ apiUrl, apiKey })}\n`, { mode: 0o600 })
  return path
}
