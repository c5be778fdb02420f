import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { stringify } from 'yaml'
import { createClient } from '../client.ts'
import { type Command, text } from '../command.ts'
import { credentialsPath } from '../profile.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid init`. */
export const initCommand: Command = {
  name: 'init',
  usage: '',
  summary:
    'Asks for the API address and a key, checks them, and keeps them in ~/.rgrid/credentials (mode 600).\nThe key is asked for, or read from standard input or RGRID_API_KEY: never an argument, which others could see.',
  options: { url: { type: 'string', value: 'URL', help: 'the API address' } },
  async run({ print, at }, options) {
    const apiUrl = text(options, 'url') ?? at.env.RGRID_API_URL ?? (await ask('API address: ', false))
    if (!/^https?:\/\//.test(apiUrl)) throw new UsageError(`"${apiUrl}" is no address such as https://rgrid.example.com`)
    const apiKey = at.env.RGRID_API_KEY ?? (await ask('API key: ', true))
    if (!apiKey.startsWith('rgrid_')) throw new UsageError('an API key begins with rgrid_')
    const project = await createClient({ apiUrl: apiUrl.replace(/\/+$/, ''), apiKey, source: 'rgrid init' }).project()
    const path = credentialsPath(at.home)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    writeFileSync(path, `${JSON.stringify({ apiUrl, apiKey })}\n`, { mode: 0o600 })
    const config = join(at.cwd, '.rgrid', 'config.yaml')
    if (!existsSync(config)) {
      mkdirSync(dirname(config), { recursive: true })
      writeFileSync(config, stringify({ project }))
    }
    print.say(`the key works, for project ${project}. Kept in ${path}; project defaults in ${config}`)
    return 0
  },
}

async function ask(question: string, secret: boolean): Promise<string> {
  const muted = new Writable({ write: (_chunk, _encoding, done) => done() })
  if (secret && process.stdin.isTTY) process.stderr.write(question)
  const lines = createInterface({ input: process.stdin, output: secret ? muted : process.stderr, terminal: process.stdin.isTTY ?? false })
  try {
    const answer = (await lines.question(secret ? '' : question)).trim()
    if (secret && process.stdin.isTTY) process.stderr.write('\n')
    return answer
  } finally {
    lines.close()
  }
}
