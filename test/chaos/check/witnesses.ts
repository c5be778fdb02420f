import type { AttemptFact, Facts, Witness } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** Causes of attempts whose container never ran. */
const BEFORE_THE_CONTAINER = ['image', 'input', 'prepare_timeout']
/** Causes that only a container can bring about. */
const OF_THE_CONTAINER = ['exit', 'output', 'timeout', 'oom']
const NOTHING: Witness = { starts: [], ends: [] }

/** What was accepted is what the containers say that they did. */
export function checkWitnesses(facts: Facts): CheckResult {
  const known = new Set(facts.attempts.map((attempt) => `${attempt.jobId}.${attempt.number}`))
  const result = checkEach('outcomes are what the containers did', facts.attempts, (attempt) =>
    compare(attempt, facts.witnesses.get(`${attempt.jobId}.${attempt.number}`) ?? NOTHING),
  )
  for (const name of facts.witnesses.keys()) if (!known.has(name)) result.violations.push(`a container ran as ${name}, and there is no such attempt`)
  return result
}

/** Of an attempt that was taken from its node, or stopped, anything may be true: but its container ran once at most. */
function compare(attempt: AttemptFact, { starts, ends }: Witness): string | undefined {
  const name = `attempt ${attempt.id} (${attempt.jobId}.${attempt.number})`
  const cause = attempt.cause ?? ''
  const codes = ends.map((end) => end.code)
  if (starts.length > 1) return `${name} ran ${starts.length} times`
  if (ends.length > starts.length) return `${name} ended ${ends.length} times (${codes.join(', ')}) and began ${starts.length} times`
  if (BEFORE_THE_CONTAINER.includes(cause) && starts.length > 0) return `${name} is said to have failed by ${cause}, before it ran; its container did run`
  if (OF_THE_CONTAINER.includes(cause) && starts.length === 0) return `${name} is said to have ended by ${cause} ${attempt.exitCode ?? ''}, and never ran`
  // Outputs are the cause only where the script itself did well. After a timeout or for its memory it is killed, maybe without a last word.
  const said = cause === 'output' ? 0 : cause === 'exit' ? attempt.exitCode : undefined
  if (said !== undefined && codes[0] !== said)
    return `${name} is said to have ended by ${cause} with ${said}; its container says ${codes[0] ?? 'nothing of an end'}`
  if (cause === 'oom' && codes.includes(0)) return `${name} is said to have been killed for its memory; its container says that it ended with 0`
  return undefined
}
