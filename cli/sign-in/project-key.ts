import { hostname } from 'node:os'
import { Value } from '@sinclair/typebox/value'
import { roleMay } from '#core/access.ts'
import { NewProjectBody, type OwnAccount } from '#core/account-api.ts'
import { RGridError } from '#core/errors.ts'
import type { Client } from '../client.ts'
import type { Printer } from '../print.ts'
import type { Questions } from '../questions.ts'
import { shown } from '../terminal-text.ts'
import { UsageError } from '../usage-error.ts'
import { chooseOne, listOf } from './choose.ts'

/** In which project a key is to be made. */
export interface ProjectWish {
  account: OwnAccount
  /** The slug that was given. */
  wanted: string | undefined
  /** The command line that makes a project of this slug. */
  commandFor(slug: string): string
}

const SLUG_RULE = 'a–z, 0–9 and "-", 63 characters at most, with "-" neither first nor last'

/**
 * Makes a key in a project of the account: the wanted one, the only one, or the one that the person names. A project that is not
 * there is made first, where the person may do that: the wanted one, and the first of the account when they name it. Resolves with
 * the key; throws an RGridError or a UsageError.
 */
export async function makeProjectKey(client: Client, wish: ProjectWish, print: Printer, questions: Questions): Promise<string> {
  const slugs = (await Array.fromAsync(client.all('GET /v1/projects'))).map(({ slug }) => slug)
  const slug = await chooseSlug(slugs, wish, questions)
  if (slugs.includes(slug)) return makeKey(client, slug, wish.account)
  const { apiKey } = await client.call('POST /v1/projects', { body: { slug } })
  print.say(`made the project ${slug} in ${shown(wish.account.name)}`)
  return apiKey.key
}

/** The slug of the project to be used, or made. */
async function chooseSlug(slugs: readonly string[], wish: ProjectWish, questions: Questions): Promise<string> {
  const { account, wanted } = wish
  if (wanted !== undefined && slugs.includes(wanted)) return wanted
  if (wanted === undefined && slugs.length > 0) return chooseProject(slugs, questions)
  if (!roleMay(account.role, 'account:admin')) throw mayNotMake(slugs, wish)
  if (wanted === undefined) return nameFirst(wish, questions)
  if (!isSlug(wanted)) throw new UsageError(`--project: "${shown(wanted)}" cannot name a project: ${SLUG_RULE}`)
  return slugs.length === 0 || !questions.isTerminal || (await agrees(slugs, wish, wanted, questions)) ? wanted : chooseProject(slugs, questions)
}

function chooseProject(slugs: readonly string[], questions: Questions): Promise<string> {
  return chooseOne({ items: slugs, namesOf: (slug) => [slug], wanted: undefined, option: '--project', what: 'project' }, questions)
}

/** Beside other projects a new one may be a slip of the fingers. */
async function agrees(slugs: readonly string[], { account }: ProjectWish, wanted: string, questions: Questions): Promise<boolean> {
  for (;;) {
    const there = listOf({ items: slugs, namesOf: (slug) => [slug] })
    const answer = await questions.ask(`${shown(account.name)} has no project "${wanted}"; there is: ${there}. Make it? (yes or no) `)
    if (/^y(es)?$/i.test(answer)) return true
    if (/^no?$/i.test(answer)) return false
  }
}

async function nameFirst({ account, commandFor }: ProjectWish, questions: Questions): Promise<string> {
  const none = `${shown(account.name)} has no project yet`
  if (!questions.isTerminal) throw new UsageError(`${none}; to make the first one, type: ${commandFor('default')}`)
  for (let trouble = `${none}; you may make the first one, and Ctrl-C makes none.`; ; ) {
    const slug = await questions.ask(`${trouble} Its name, such as "default": `)
    if (isSlug(slug)) return slug
    trouble = `A name is ${SLUG_RULE}.`
  }
}

function mayNotMake(slugs: readonly string[], { account, wanted }: ProjectWish): RGridError {
  const name = shown(account.name)
  const lack = wanted === undefined ? `${name} has no project yet` : `${name} has no project "${shown(wanted)}" that you may use`
  const there = slugs.length === 0 ? '' : `; there is: ${listOf({ items: slugs, namesOf: (slug) => [slug] })}`
  const standing = account.role === null ? 'as a member of single projects' : `as ${account.role}`
  return new RGridError('not_found', `${lack}${there}; ${standing} you may not make one: ask an owner or admin of it`)
}

async function makeKey(client: Client, slug: string, account: OwnAccount): Promise<string> {
  const name = `rgrid init on ${hostname()}`.slice(0, 60)
  try {
    return (await client.call('POST /v1/projects/:slug/keys', { params: { slug }, body: { name } })).key
  } catch (error) {
    if (!(error instanceof RGridError) || error.code !== 'forbidden') throw error
    const way = `ask an owner or admin of ${shown(account.name)} for the role developer, or for a key: rgrid init --with-key`
    throw new RGridError('forbidden', `you may not make a key in the project ${slug}: ${error.message}; ${way}`, { cause: error })
  }
}

function isSlug(text: string): boolean {
  return Value.Check(NewProjectBody.properties.slug, text)
}
