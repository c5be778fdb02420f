import type { FleetNode, NodeFault } from '#store/cordons.ts'

/** Past so much of the fleet, rounded down and one node at least, nobody is cordoned: a fault that many show is no node's. */
const MAX_SHARE = 1 / 3
/** What a node lost within so long of the first, it lost at once: it went away one time. */
const OUTAGE_MS = 30_000

/** What is to be done about nodes that fail jobs. */
export interface Judgement {
  cordon: { nodeId: string; reason: string }[]
  /** More nodes fail jobs than may be cordoned, so that none is: what they have in common is to blame. */
  held: boolean
}

/**
 * Which nodes are sick: on which `limit` jobs failed by the fault of the node and then did well elsewhere, and no more did well on it
 * than failed. At least one node that works is left. `limit` 0: none is. Pure.
 */
export function judgeNodes(fleet: readonly FleetNode[], faults: readonly NodeFault[], limit: number): Judgement {
  const count = (node: FleetNode) => countFailures(faults.filter((fault) => fault.nodeId === node.nodeId))
  const sick = fleet.filter((node) => !node.cordoned && limit > 0 && count(node) >= limit && count(node) >= node.jobsDone)
  if (sick.length === 0) return { cordon: [], held: false }
  const cordoned = fleet.filter((node) => node.cordoned).length
  const working = fleet.filter((node) => node.working && !sick.includes(node)).length
  const held = working === 0 || cordoned + sick.length > Math.max(1, Math.floor(fleet.length * MAX_SHARE))
  return { cordon: held ? [] : sick.map(({ nodeId }) => ({ nodeId, reason: reasonFor(faults.filter((fault) => fault.nodeId === nodeId)) })), held }
}

/** Jobs count once, and so do all that were lost at once. */
function countFailures(faults: readonly NodeFault[]): number {
  const jobs = new Set<string>()
  let outageFromMs = Number.NEGATIVE_INFINITY
  for (const fault of faults.toSorted((a, b) => a.atMs - b.atMs)) {
    if (jobs.has(fault.jobId)) continue
    if (fault.cause !== 'runner_error') {
      if (fault.atMs - outageFromMs < OUTAGE_MS) continue
      outageFromMs = fault.atMs
    }
    jobs.add(fault.jobId)
  }
  return jobs.size
}

function reasonFor(faults: readonly NodeFault[]): string {
  const causes = [...new Set(faults.map(({ cause }) => cause))].sort().join(', ')
  const jobs = new Set(faults.map(({ jobId }) => jobId))
  return `cordoned: ${jobs.size} jobs failed here and did well elsewhere (${causes}); the last was ${faults.reduce((a, b) => (b.atMs > a.atMs ? b : a)).jobId}`
}
