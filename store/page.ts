/** Which part of a list is wanted: so many behind this position. */
export interface PageWish<P extends string | number> {
  after?: P | undefined
  limit: number
}

/** A part of a list; `next` is the position behind which it goes on, null when there is no more. */
export interface Page<T, P extends string | number> {
  items: T[]
  next: P | null
}

/** Makes a page of rows of which one more was read than is wanted, so that it is known whether there is more. */
export function toPage<R, T, P extends string | number>(rows: readonly R[], limit: number, toView: (found: R) => T, positionOf: (found: R) => P): Page<T, P> {
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return { items: page.map(toView), next: rows.length > limit && last !== undefined ? positionOf(last) : null }
}
