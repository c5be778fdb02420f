import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stringify } from 'yaml'
import { createClient } from '../client.ts'
import { type Command, text } from '../command.ts'
import { noArguments } from '../parse.ts'
import { checkUrl, credentialsPath } from '../profile.ts'
import { openQuestions } from '../questions.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid init`. */
export const initCommand: Command = {
  name: 'init',
  usage: '',
  summary:
    'Asks for the API address and a key, checks them, and keeps them in ~/.rgrid/credentials (mode 600).\nThe key is asked for, or read from standard input or RGRID_API_KEY: never an argument, which others could see.',
  options: { url: { type: 'string', value: 'URL', help: 'the API address' } },
  async run({ print, at }, options, args) {
    noArguments('init', args)
    const questions = openQuestions()
    const answers = async () => {
      const address = text(options, 'url') ?? at.env.RGRID_API_URL ?? (await questions.ask('API address: '))
      const apiUrl = checkUrl(address, 'rgrid init')
      return { apiUrl, apiKey: at.env.RGRID_API_KEY ?? (await questions.askSecret('API key: ')) }
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

function keepCredentials(home: string, apiUrl: string, apiKey: string): string {
  const path = credentialsPath(home)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // The mode of a file that is there already stays: set before the key is in it.
  if (existsSync(path)) chmodSync(path, 0o600)
  writeFileSync(path, `${JSON.stringify({ apiUrl, apiKey })}\n`, { mode: 0o600 })
  return path
}
