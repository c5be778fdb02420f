import { OPERATOR, SCOPES } from '#core/access.ts'
import type { KeyView, NewKeyBody, NewKeyView } from '#core/key-api.ts'
import { nowMs } from '#core/service/time.ts'
import { type Command, type Context, list, type OptionValues, text } from '../command.ts'
import { parseSeconds } from '../duration.ts'
import { withoutKey } from '../hidden-key.ts'
import { age, until } from '../print.ts'
import { findProfile } from '../profile.ts'
import { shown } from '../terminal-text.ts'
import { UsageError } from '../usage-error.ts'

const VERBS: Readonly<
  Record<string, { takes?: string; options: readonly string[]; run(context: Context, options: OptionValues, arg: string): Promise<number> }>
> = {
  list: { options: [], run: listAll },
  create: { takes: 'name', options: ['scope', 'expires', 'environment'], run: createOne },
  rotate: { takes: 'key', options: ['overlap'], run: rotateOne },
  revoke: { takes: 'key', options: [], run: revokeOne },
}

const RUN_SCOPES = ['jobs:read', 'jobs:write', 'logs:read', 'files:read', 'files:write'].map((scope) => `--scope ${scope}`).join(' ')
const KNOWN_SCOPES: readonly NonNullable<NewKeyBody['scopes']>[number][] = ['*', ...SCOPES, OPERATOR]

/** `rgrid keys`. */
export const keysCommand: Command = {
  name: 'keys',
  usage: '[VERB] [NAME|KEY]',
  summary: 'Makes, rotates and revokes the API keys of the project; each is shown once, when it is made.',
  options: {
    scope: { type: 'string', multiple: true, help: "create: what it may do, such as jobs:write; repeatable; '*' is everything in the project" },
    expires: { type: 'string', value: 'TIME', help: 'create: when it ends, such as 90d (never)' },
    environment: { type: 'string', value: 'live|test', help: 'create: a word in the key, to tell keys apart (live)' },
    overlap: { type: 'string', value: 'TIME', help: 'rotate: how long the old key works too (1d)' },
    json: { type: 'boolean', help: 'print JSON, a line each' },
  },
  details: `  rgrid keys                                   what there is, never the keys themselves
  rgrid keys create ci ${RUN_SCOPES} --expires 90d
  rgrid keys rotate KEY --overlap 1h           a new one in the place of KEY
  rgrid keys revoke KEY                        refused everywhere within a second
  rgrid keys create submit --scope jobs:write | gh secret set RGRID_API_KEY

"rgrid run" needs the five of the second line; "rgrid run --detach" of a script alone needs jobs:write and files:write. KEY is an id (key_…), or what a key begins with (rgrid_live_Yx3v9QmK). A new key is all that goes to stdout.

Scopes: ${SCOPES.join(' ')}`,
  run(context, options, words) {
    const [verb = 'list', ...args] = words
    const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
    if (!known) throw new UsageError(`rgrid keys does not know "${withoutKey(verb)}"; it knows ${Object.keys(VERBS).join(', ')}`)
    if (args.length !== (known.takes ? 1 : 0))
      throw new UsageError(`rgrid keys ${verb} takes ${known.takes ? `one ${known.takes}` : 'no argument'}. See: rgrid keys --help`)
    const foreign = Object.keys(options).find((name) => name !== 'json' && !known.options.includes(name))
    if (foreign !== undefined) throw new UsageError(`--${foreign} does not go with rgrid keys ${verb}`)
    return known.run(context, options, args[0] ?? '')
  },
}

async function paramsOf({ client, defaults }: Context): Promise<{ slug: string }> {
  return { slug: defaults.project ?? (await client().project()) }
}

async function listAll(context: Context, options: OptionValues): Promise<number> {
  const items = await Array.fromAsync(context.client().all('GET /v1/projects/:slug/keys', { params: await paramsOf(context) }))
  if (options.json === true) for (const key of items) context.print.json(key)
  else context.print.table([['KEY', 'NAME', 'BEGINS', 'STATE', 'EXPIRES', 'USED', 'AGE', 'SCOPES'], ...items.map(toRow)])
  return 0
}

function toRow(key: KeyView): string[] {
  const now = nowMs()
  const isOver = key.expiresAt !== null && Date.parse(key.expiresAt) <= now
  const state = key.revokedAt !== null ? 'revoked' : isOver ? 'expired' : key.replacedBy !== null ? 'replaced' : 'valid'
  const expires = key.revokedAt !== null || isOver ? '-' : key.expiresAt === null ? 'never' : until(key.expiresAt, now)
  const used = key.lastUsedAt === null ? 'never' : age(key.lastUsedAt, now)
  return [key.id, shown(key.name), beginningOf(key), state, expires, used, age(key.createdAt, now), key.scopes.join(' ')]
}

async function createOne(context: Context, options: OptionValues, name: string): Promise<number> {
  const [expires, environment = 'live'] = [text(options, 'expires'), text(options, 'environment')]
  if (environment !== 'live' && environment !== 'test') throw new UsageError(`--environment ${environment}: it is live or test`)
  const body: NewKeyBody = {
    name,
    scopes: scopesOf(options),
    environment,
    ...(expires === undefined ? {} : { expiresInSeconds: parseSeconds('expires', expires) }),
  }
  const made = await context.client().call('POST /v1/projects/:slug/keys', { params: await paramsOf(context), body })
  return showNew(context, options, made)
}

/** Never all by forgetting it: what a key may do is said. */
function scopesOf(options: OptionValues): NonNullable<NewKeyBody['scopes']> {
  const scopes = list(options, 'scope').map((name) => {
    const known = KNOWN_SCOPES.find((scope) => scope === name)
    if (known === undefined) throw new UsageError(`--scope ${name}: it is one of ${KNOWN_SCOPES.join(', ')}`)
    return known
  })
  if (scopes.length === 0) throw new UsageError("say what the key may do: --scope jobs:write, or --scope '*' for everything in the project")
  return [...new Set(scopes)]
}

async function rotateOne(context: Context, options: OptionValues, name: string): Promise<number> {
  const overlapSeconds = parseSeconds('overlap', text(options, 'overlap') ?? '1d')
  const old = await find(context, name)
  const made = await context.client().call('POST /v1/keys/:id/rotate', { params: { id: old.id }, body: { overlapSeconds } })
  showNew(context, options, made)
  // Not asked for: the old key, which may be the one that asks, may work no longer.
  const overlapEndMs = Date.parse(made.createdAt) + overlapSeconds * 1000
  const endMs = old.expiresAt === null ? overlapEndMs : Math.min(overlapEndMs, Date.parse(old.expiresAt))
  context.print.say(`${old.id}, in the place of which it comes, works until ${new Date(endMs).toISOString()}`)
  sayIfOwn(context, old)
  return 0
}

async function revokeOne(context: Context, _: OptionValues, name: string): Promise<number> {
  const key = await find(context, name)
  await context.client().call('DELETE /v1/keys/:id', { params: { id: key.id } })
  context.print.say(`${key.id} (${shown(key.name)}) is revoked; within a second it works nowhere`)
  sayIfOwn(context, key)
  return 0
}

/** A key by its id, or by what it begins with. Throws a UsageError. */
async function find(context: Context, name: string): Promise<KeyView> {
  if (name.startsWith('key_')) return context.client().call('GET /v1/keys/:id', { params: { id: name } })
  if (withoutKey(name) !== name)
    throw new UsageError('never give a whole key as an argument, which others here can see; its id will do, or what it begins with')
  for await (const key of context.client().all('GET /v1/projects/:slug/keys', { params: await paramsOf(context) }))
    if (name === key.prefix || name.replace(/_$/, '') === beginningOf(key)) return key
  throw new UsageError(`no key of the project begins with "${name}"; "rgrid keys" lists them`)
}

function beginningOf({ environment, prefix }: KeyView): string {
  return `rgrid_${environment}_${prefix}`
}

/** The key alone on stdout, so that it can be handed on. */
function showNew({ print }: Context, options: OptionValues, made: NewKeyView): number {
  if (options.json === true) print.json(made)
  else print.out(made.key)
  const end = made.expiresAt === null ? 'never expires' : `expires at ${made.expiresAt}`
  print.say(`${made.id} (${shown(made.name)}) may ${made.scopes.join(' ')} and ${end}; this is the only time that the key is shown`)
  return 0
}

function sayIfOwn({ print, at }: Context, key: KeyView): void {
  const { apiKey, source } = findProfile(at)
  if (apiKey.startsWith(`${beginningOf(key)}_`)) print.say(`rgrid uses that key itself, from ${source}: give it another one there`)
}
