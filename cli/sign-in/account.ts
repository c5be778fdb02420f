import type { MeView, OwnAccount } from '#core/account-api.ts'
import { RGridError } from '#core/errors.ts'
import { createClient } from '../client.ts'
import type { Profile } from '../profile.ts'
import type { Questions } from '../questions.ts'
import { chooseOne } from './choose.ts'

/**
 * Whom a token speaks for. A token can name an organisation that gives no role: it speaks for another account all the same,
 * if `wanted` is the id of one.
 */
export async function readMe(token: Profile, wanted: string | undefined): Promise<MeView> {
  try {
    return await createClient(token).call('GET /v1/me')
  } catch (error) {
    if (!(error instanceof RGridError) || error.code !== 'forbidden') throw error
    if (wanted?.startsWith('acc_')) return createClient({ ...token, account: wanted }).call('GET /v1/me')
    throw new RGridError('forbidden', `${error.message}; or name another account of yours by its id: --account acc_…`, { cause: error })
  }
}

/** The account that the person means, by name or id: `wanted`, or the only one, or the one they name. Throws a UsageError. */
export async function chooseAccount(accounts: readonly OwnAccount[], wanted: string | undefined, questions: Questions): Promise<OwnAccount> {
  const isShared = (name: string) => accounts.filter((account) => account.name === name).length > 1
  const labelOf = ({ id, name, kind, role }: OwnAccount) => {
    const standing = kind === 'personal' && role === 'owner' ? 'your own' : (role ?? 'single projects')
    return `${name} (${[standing, ...(isShared(name) || !questions.isTerminal ? [id] : [])].join(', ')})`
  }
  const namesOf = ({ id, name }: OwnAccount) => [name, id]
  return chooseOne({ items: accounts, namesOf, labelOf, wanted, option: '--account', what: 'account' }, questions)
}
