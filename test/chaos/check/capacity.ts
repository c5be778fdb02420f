import type { AttemptFact, Facts } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** At no time more leases of a batch than it may run at once. */
export function checkParallelism(facts: Facts): CheckResult {
  const batchOf = new Map(facts.jobs.map((job) => [job.id, job.batchId]))
  const limited = facts.batches.filter((batch) => batch.parallel !== null)
  return checkEach('batch parallelism is never exceeded', limited, (batch) => {
    const attempts = facts.attempts.filter((attempt) => batchOf.get(attempt.jobId) === batch.id)
    const peak = peakOf(attempts, () => 1)
    if (peak.height <= (batch.parallel as number)) return undefined
    return `${batch.id} had ${peak.height} attempts at once, ${batch.parallel} are allowed: ${peak.attemptIds.join(', ')} at ${peak.atMs}`
  })
}

/** At no time more leases on a node than it has slots, and none left at the end. */
export function checkSlots(facts: Facts): CheckResult {
  const byNode = Map.groupBy(facts.attempts, (attempt) => attempt.nodeId)
  const known = new Set(facts.nodes.map((node) => node.id))
  const result = checkEach('no slot is leaked or taken twice', facts.nodes, (node) => {
    const attempts = byNode.get(node.id) ?? []
    const live = attempts.filter((attempt) => attempt.finishedAtMs === null)
    const found = live.map((attempt) => `node ${node.id} still has the lease of attempt ${attempt.id} of ${attempt.jobId}`)
    const peak = peakOf(attempts, (attempt) => attempt.slots)
    if (peak.height > node.slots)
      found.push(`node ${node.id} had ${peak.height} slots taken at once, it has ${node.slots}: ${peak.attemptIds.join(', ')} at ${peak.atMs}`)
    return found
  })
  for (const [nodeId, attempts] of byNode)
    if (!known.has(nodeId)) result.violations.push(`attempt ${attempts[0]?.id} is on the node ${nodeId}, which there is not`)
  return result
}

interface Peak {
  height: number
  atMs: number
  attemptIds: string[]
}

/** The most that were live at once, when and which. One that ends in the moment in which another begins makes room for it. */
function peakOf(attempts: readonly AttemptFact[], weight: (attempt: AttemptFact) => number): Peak {
  const steps = attempts.flatMap((attempt) => [
    { attempt, atMs: attempt.assignedAtMs, change: weight(attempt) },
    { attempt, atMs: attempt.finishedAtMs ?? Number.POSITIVE_INFINITY, change: -weight(attempt) },
  ])
  const live = new Set<string>()
  let height = 0
  let peak: Peak = { height: 0, atMs: 0, attemptIds: [] }
  for (const { attempt, atMs, change } of steps.sort((a, b) => a.atMs - b.atMs || a.change - b.change)) {
    height += change
    if (change > 0) live.add(attempt.id)
    else live.delete(attempt.id)
    if (height > peak.height) peak = { height, atMs, attemptIds: [...live] }
  }
  return peak
}
