import { checkCancels } from './cancels.ts'
import { checkParallelism, checkSlots } from './capacity.ts'
import { checkDelivery } from './delivery.ts'
import type { Facts } from './facts.ts'
import { checkBatchLives, checkLives } from './lives.ts'
import { checkLogs } from './logs.ts'
import { checkArtifacts, checkLeftovers, checkObjects } from './objects.ts'
import { checkExpected, checkFinal, checkOneOutcome } from './outcomes.ts'
import type { CheckResult } from './result.ts'
import { checkExitCodes, checkRetries } from './retries.ts'
import { checkWebhooks } from './webhooks.ts'
import { checkWitnesses } from './witnesses.ts'

const CHECKS: readonly ((facts: Facts) => CheckResult)[] = [
  checkFinal,
  checkOneOutcome,
  checkWitnesses,
  checkExpected,
  checkRetries,
  checkExitCodes,
  checkCancels,
  checkParallelism,
  checkSlots,
  checkLogs,
  checkArtifacts,
  checkObjects,
  checkLeftovers,
  checkDelivery,
  checkLives,
  checkBatchLives,
  checkWebhooks,
]

const MAX_SHOWN = 20

/** Runs every check. One that found nothing to look at is a violation of its own: it would hold whatever happened. */
export function checkFacts(facts: Facts): CheckResult[] {
  return CHECKS.map((check) => {
    const result = check(facts)
    return result.checked > 0 ? result : { ...result, violations: [...result.violations, 'nothing was checked'] }
  })
}

/** The results as text: a line for each check with its numbers, then what was violated. */
export function describeResults(results: readonly CheckResult[]): string {
  const width = Math.max(...results.map((result) => result.name.length))
  const lines = results.map(
    ({ name, checked, violations }) =>
      `${violations.length === 0 ? 'ok  ' : 'FAIL'} ${name.padEnd(width)} ${String(checked).padStart(7)} checked ${String(violations.length).padStart(5)} violated`,
  )
  for (const { name, violations } of results) {
    if (violations.length === 0) continue
    lines.push('', `${name}:`, ...violations.slice(0, MAX_SHOWN).map((violation) => `  ${violation}`))
    if (violations.length > MAX_SHOWN) lines.push(`  … and ${violations.length - MAX_SHOWN} more`)
  }
  return lines.join('\n')
}
