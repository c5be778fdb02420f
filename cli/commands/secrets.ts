import type { SecretBody, SecretView } from '#core/secret-api.ts'
import { nowMs } from '#core/service/time.ts'
import { type Command, type Context, type OptionValues, text } from '../command.ts'
import { age } from '../print.ts'
import { readSecretValue } from '../secret-input.ts'
import { UsageError } from '../usage-error.ts'

const VERBS: Readonly<
  Record<string, { takesName: boolean; options: readonly string[]; run(context: Context, options: OptionValues, name: string): Promise<number> }>
> = {
  list: { takesName: false, options: [], run: listAll },
  set: { takesName: true, options: ['from-file', 'registry', 'username'], run: setOne },
  delete: { takesName: true, options: [], run: deleteOne },
}

/** `rgrid secrets`. */
export const secretsCommand: Command = {
  name: 'secrets',
  usage: '[VERB] [NAME]',
  summary: 'Keeps secrets of the project, which jobs get as variables or images are pulled with; nobody can read them again.',
  options: {
    'from-file': { type: 'string', value: 'FILE', help: 'set: takes the value from a file, as it is' },
    registry: { type: 'string', value: 'SERVER', help: 'set: credentials of this registry, such as ghcr.io; the value is the password' },
    username: { type: 'string', value: 'USER', help: 'set --registry: whose password it is' },
    json: { type: 'boolean', help: 'print JSON, a line each' },
  },
  details: `  rgrid secrets                                what there is: names, never values
  rgrid secrets set NAME                       asks for the value, or reads it from a pipe
  rgrid secrets set NAME --from-file key.pem
  rgrid secrets set NAME --registry ghcr.io --username robot
  rgrid secrets delete NAME
  rgrid run --secret TOKEN=NAME script.sh      the job finds the value in $TOKEN`,
  run(context, options, words) {
    const [verb = 'list', ...args] = words
    const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
    if (!known) throw new UsageError(`rgrid secrets does not know "${verb}"; it knows ${Object.keys(VERBS).join(', ')}`)
    if (args.length !== Number(known.takesName)) {
      const hint = verb === 'set' && args.length > 1 ? '; the value is asked for, or read from standard input' : ''
      throw new UsageError(`rgrid secrets ${verb} takes ${known.takesName ? 'one name' : 'no argument'}${hint}. See: rgrid secrets --help`)
    }
    const foreign = Object.keys(options).find((name) => name !== 'json' && !known.options.includes(name))
    if (foreign !== undefined) throw new UsageError(`--${foreign} does not go with rgrid secrets ${verb}`)
    return known.run(context, options, args[0] ?? '')
  },
}

async function projectOf({ client, defaults }: Context): Promise<string> {
  return defaults.project ?? (await client().project())
}

async function listAll(context: Context, options: OptionValues): Promise<number> {
  const items = await Array.fromAsync(context.client().all('GET /v1/projects/:slug/secrets', { params: { slug: await projectOf(context) } }))
  if (options.json === true) for (const secret of items) context.print.json(secret)
  else context.print.table([['NAME', 'KIND', 'VERSION', 'SET', 'USED'], ...items.map(toRow)])
  return 0
}

function toRow({ name, kind, server, version, updatedAt, lastUsedAt }: SecretView): string[] {
  return [
    name,
    server === null ? kind : `${kind} ${server}`,
    String(version),
    age(updatedAt, nowMs()),
    lastUsedAt === null ? 'never' : age(lastUsedAt, nowMs()),
  ]
}

async function setOne(context: Context, options: OptionValues, name: string): Promise<number> {
  const [server, username] = [text(options, 'registry'), text(options, 'username')]
  if ((server === undefined) !== (username === undefined)) throw new UsageError('--registry and --username go together')
  const params = { slug: await projectOf(context), name }
  const question = username === undefined ? `Value of ${name}: ` : `Password of ${username} at ${server}: `
  const value = await readSecretValue(question, text(options, 'from-file'), context.at.cwd)
  if (value === '') throw new UsageError('the value is empty')
  const body: SecretBody = server === undefined || username === undefined ? { value } : { registry: { server, username, password: value.trim() } }
  const secret = await context.client().call('PUT /v1/projects/:slug/secrets/:name', { params, body })
  if (options.json === true) context.print.json(secret)
  else context.print.say(`${secret.name} is set, version ${secret.version}; jobs that start from now on get it`)
  return 0
}

async function deleteOne(context: Context, _: OptionValues, name: string): Promise<number> {
  await context.client().call('DELETE /v1/projects/:slug/secrets/:name', { params: { slug: await projectOf(context), name } })
  context.print.say(`${name} is deleted; jobs that ask for it and have not begun will fail`)
  return 0
}
