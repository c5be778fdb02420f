/** One thing the demo shows, and whether it held. */
export interface Check {
  what: string
  held: boolean
  /** Why it did not hold, or what was measured. */
  detail: string
}

/** Notes a check; a comparison that throws counts as not held. */
export function check(checks: Check[], what: string, compare: () => string | true, detail = ''): void {
  let fault: string | true
  try {
    fault = compare()
  } catch (error) {
    fault = error instanceof Error ? error.message : String(error)
  }
  checks.push({ what, held: fault === true, detail: fault === true ? detail : fault })
}

/** Compares two texts or numbers; the answer is true or says what differs. */
export function same(actual: string | number | null, expected: string | number | null): string | true {
  return actual === expected || `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)?.slice(0, 300)}`
}

/** Prints the table of checks; true when all held. */
export function printChecks(checks: readonly Check[]): boolean {
  const width = Math.max(...checks.map((entry) => entry.what.length))
  const lines = checks.map((entry) => `  ${entry.held ? 'ok    ' : 'FAILED'}  ${entry.what.padEnd(width)}  ${entry.detail}`.trimEnd())
  const failed = checks.filter((entry) => !entry.held).length
  const verdict = failed === 0 ? `all ${checks.length} checks held` : `${failed} of ${checks.length} checks failed`
  process.stdout.write(`\n${lines.join('\n')}\n\n  ${verdict}\n\n`)
  return failed === 0
}
