import type { AttemptFact, Facts } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** At no time more leases of a batch than it may run at once. */
export function checkParallelism(facts: Facts): CheckResult {
  const batchOf = new Map(facts.jobs.map((job) => [job.id, job.batchId]))
  const limited = facts.batches.filter((batch) => batch.parallel !== null)
  return checkEach('batch parallelism is never exceeded', limited, (batch) => {
    const peak = peakOf(
      facts.attempts.filter((attempt) => batchOf.get(attempt.jobId) === batch.id),
      () => 1,
    )
    return peak > (batch.parallel as number) ? `${batch.id} had ${peak} attempts at once, ${batch.parallel} are allowed` : undefined
  })
}

/** At no time more leases on a node than it has slots, and none left at the end. */
export function checkSlots(facts: Facts): CheckResult {
  const byNode = Map.groupBy(facts.attempts, (attempt) => attempt.nodeId)
  return checkEach('no slot is leaked or taken twice', facts.nodes, (node) => {
    const attempts = byNode.get(node.id) ?? []
    const live = attempts.filter((attempt) => attempt.finishedAtMs === null)
    const found = live.map((attempt) => `node ${node.id} still has the lease of attempt ${attempt.id}`)
    const peak = peakOf(attempts, (attempt) => attempt.slots)
    if (peak > node.slots) found.push(`node ${node.id} had ${peak} slots taken at once, it has ${node.slots}`)
    return found
  })
}

/** The most that were live at once. One that ends in the moment in which another begins makes room for it. */
function peakOf(attempts: readonly AttemptFact[], weight: (attempt: AttemptFact) => number): number {
  const steps = attempts.flatMap((attempt) => [
    { atMs: attempt.assignedAtMs, change: weight(attempt) },
    { atMs: attempt.finishedAtMs ?? Number.POSITIVE_INFINITY, change: -weight(attempt) },
  ])
  let now = 0
  let peak = 0
  for (const step of steps.sort((a, b) => a.atMs - b.atMs || a.change - b.change)) {
    now += step.change
    peak = Math.max(peak, now)
  }
  return peak
}
