/** What one check says. */
export interface CheckResult {
  name: string
  /** How many things were looked at. */
  checked: number
  /** In words, with ids: what was expected and what was found. */
  violations: string[]
}

/** Looks at each thing; `look` gives what is wrong with it, if anything is. */
export function checkEach<T>(name: string, things: Iterable<T>, look: (thing: T) => string | readonly string[] | undefined): CheckResult {
  const result: CheckResult = { name, checked: 0, violations: [] }
  for (const thing of things) {
    result.checked++
    const found = look(thing)
    if (found !== undefined) result.violations.push(...(typeof found === 'string' ? [found] : found))
  }
  return result
}
