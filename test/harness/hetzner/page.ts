import { invalidField } from './answer.ts'
import { parseSelector } from './labels.ts'
import type { Reply } from './routes.ts'

/** Which part of a list a page is. */
export interface Page {
  page: number
  per_page: number
  previous_page: number | null
  next_page: number | null
  last_page: number
  total_entries: number
}

const DEFAULT_PER_PAGE = 25
const MAX_PER_PAGE = 50
const SORTS: Readonly<Record<string, string>> = {
  id: 'id',
  name: 'name',
  created: 'created',
  status: 'status',
  command: 'command',
  started: 'started',
  progress: 'progress',
}

/** Filters, sorts and cuts a list as its query says: `name`, `label_selector`, `sort`, `page`, `per_page`, and fields of `filters`. */
export function listed<T extends object>(
  key: string,
  items: Iterable<T>,
  query: URLSearchParams,
  show: (item: T) => object,
  filters: readonly string[] = [],
): Reply {
  let shown = [...items].map((item) => show(item) as Record<string, unknown>)
  for (const field of ['name', ...filters]) {
    const wanted = query.getAll(field).flatMap((value) => value.split(','))
    if (wanted.length > 0) shown = shown.filter((one) => wanted.includes(String(one[field])))
  }
  const selector = query.get('label_selector')
  if (selector) {
    const fits = parseSelector(selector)
    shown = shown.filter(({ labels }) => fits((labels ?? {}) as Record<string, string>))
  }
  for (const sort of query.getAll('sort').toReversed()) shown = sorted(shown, sort)
  const page = pageOf(query, shown.length)
  const start = (page.page - 1) * page.per_page
  return { status: 200, body: { [key]: shown.slice(start, start + page.per_page) }, page }
}

function sorted(items: Record<string, unknown>[], sort: string): Record<string, unknown>[] {
  const [name = '', direction = 'asc'] = sort.split(':')
  const field = SORTS[name]
  if (!field || !['asc', 'desc'].includes(direction)) throw invalidField('sort', `${sort} is not supported`)
  const sign = direction === 'asc' ? 1 : -1
  const compare = (a: unknown, b: unknown) => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a) < String(b) ? -1 : 1)
  return items.toSorted((a, b) => (a[field] === b[field] ? 0 : sign * compare(a[field], b[field])))
}

function pageOf(query: URLSearchParams, total: number): Page {
  const number = (name: string, fallback: number, max: number) => {
    const text = query.get(name) ?? String(fallback)
    const value = Number(text)
    if (!/^\d+$/.test(text) || value < 1 || value > max) throw invalidField(name, `must be between 1 and ${max}`)
    return value
  }
  const page = number('page', 1, 1_000_000)
  const per_page = number('per_page', DEFAULT_PER_PAGE, MAX_PER_PAGE)
  const last_page = Math.max(1, Math.ceil(total / per_page))
  return { page, per_page, previous_page: page > 1 ? page - 1 : null, next_page: page < last_page ? page + 1 : null, last_page, total_entries: total }
}
