import type { Questions } from '../questions.ts'
import { shown } from '../terminal-text.ts'
import { UsageError } from '../usage-error.ts'

/** What one of several can be chosen by. All names are strangers' words. */
export interface Choice<T> {
  items: readonly T[]
  /** The words that name an item. */
  namesOf(item: T): readonly string[]
  /** How a list shows it; by default its first name. */
  labelOf?(item: T): string
  /** What the option says, when it is given. */
  wanted: string | undefined
  option: string
  what: string
}

/**
 * The item that is wanted, or the only one, or the one that the person names, who is asked until it is one of them. Throws a
 * UsageError that lists them.
 */
export async function chooseOne<T>(choice: Choice<T>, questions: Questions): Promise<T> {
  const { items, wanted, option, what } = choice
  const list = listOf(choice)
  const [only] = items
  if (wanted !== undefined) {
    const found = find(choice, wanted)
    if (typeof found === 'string') throw new UsageError(`${option}: ${found}; there is: ${list}`)
    return found.item
  }
  if (items.length === 1 && only !== undefined) return only
  if (!questions.isTerminal) throw new UsageError(`there are several; name one with ${option}: ${list}`)
  for (let trouble = ''; ; ) {
    const found = find(choice, await questions.ask(`${trouble}Which ${what}? (${list}) `))
    if (typeof found !== 'string') return found.item
    trouble = `${found}. `
  }
}

/** The items, as a sentence lists them. */
export function listOf<T>({ items, namesOf, labelOf = (item) => namesOf(item)[0] ?? '' }: Pick<Choice<T>, 'items' | 'namesOf' | 'labelOf'>): string {
  return items.length === 0 ? 'none' : items.map((item) => shown(labelOf(item))).join(', ')
}

/** What a word names, or why that is no single item. */
function find<T>({ items, namesOf, what }: Choice<T>, word: string): { item: T } | string {
  const [item, another] = items.filter((one) => namesOf(one).includes(word))
  if (item === undefined) return `there is no ${what} "${shown(word)}"`
  return another === undefined ? { item } : `several have the name "${shown(word)}"; name one by its id`
}
