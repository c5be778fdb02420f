import type { AttemptFact, Facts } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** Causes with which a script came to its own end, and so printed everything. One that runs too long sleeps when it has printed. */
const RAN_TO_ITS_END = ['exit', 'output', 'timeout']

/** The numbered lines of every attempt: all of them, or up to where it was stopped; in order, none lost, none twice. */
export function checkLogs(facts: Facts): CheckResult {
  const printed = facts.attempts.filter((attempt) => (facts.expected.get(attempt.jobId)?.lines ?? null) !== null)
  return checkEach('logs are whole and in order', printed, (attempt) => {
    const lines = facts.logs.get(attempt.id)
    const wanted = facts.expected.get(attempt.jobId)?.lines as number
    const name = `the log of attempt ${attempt.id} (${attempt.jobId}.${attempt.number}, ${attempt.cause})`
    if (!lines) return `${name} cannot be read`
    return describeFault(name, lines, wanted, attempt)
  })
}

function describeFault(name: string, lines: readonly string[], wanted: number, attempt: AttemptFact): string | undefined {
  const whole = RAN_TO_ITS_END.includes(attempt.cause ?? '')
  // What was cut off by a stop may end in the middle of a line.
  const numbered = whole ? lines : lines.slice(0, -1)
  for (const [i, line] of numbered.entries()) if (line !== `line ${i + 1}`) return `${name}: line ${i + 1} is ${JSON.stringify(line.slice(0, 60))}`
  if (whole && lines.length !== wanted) return `${name} has ${lines.length} lines, ${wanted} were printed`
  if (!whole && lines.length > wanted) return `${name} has ${lines.length} lines, at most ${wanted} were printed`
  const last = lines.at(-1)
  return last === undefined || `line ${lines.length}`.startsWith(last) ? undefined : `${name}: its last line is ${JSON.stringify(last.slice(0, 60))}`
}
