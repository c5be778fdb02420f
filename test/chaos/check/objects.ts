import type { Facts } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** What a job kept is there, byte for byte as it was reported; and it kept what it was to keep. */
export function checkArtifacts(facts: Facts): CheckResult {
  const result = checkEach('artifacts are there with their checksums', facts.artifacts, (artifact) => {
    const name = `artifact ${artifact.path} of ${artifact.jobId} (${artifact.id})`
    if (!artifact.object) return `${name} has no object`
    if (artifact.object.sizeBytes !== artifact.sizeBytes) return `${name} is ${artifact.object.sizeBytes} bytes long, its row says ${artifact.sizeBytes}`
    if (artifact.object.sha256 === artifact.sha256) return undefined
    return `${name} has other bytes than were reported: SHA-256 ${artifact.object.sha256}, its row says ${artifact.sha256}`
  })
  const kept = new Set(facts.artifacts.map((artifact) => `${artifact.jobId} ${artifact.path}`))
  for (const job of facts.jobs) {
    if (job.state !== 'succeeded') continue
    for (const path of facts.expected.get(job.id)?.outputs ?? [])
      if (!kept.has(`${job.id} ${path}`)) result.violations.push(`${job.id} succeeded, and its output ${path} is no artifact`)
  }
  return result
}

/** No object without a row, no archived log without an object. */
export function checkObjects(facts: Facts): CheckResult {
  const rows = new Set([
    ...facts.artifacts.map((artifact) => artifact.key),
    ...facts.archivedLogs.map((log) => log.key),
    ...facts.fileKeys,
    ...facts.pendingKeys,
  ])
  const result = checkEach('no object without a row', facts.objectKeys, (key) => (rows.has(key) ? undefined : `the object ${key} has no row`))
  const objects = new Set(facts.objectKeys)
  for (const log of facts.archivedLogs)
    if (!objects.has(log.key)) result.violations.push(`the log of attempt ${log.attemptId} is said to be archived, and there is no object ${log.key}`)
  return result
}

/** Nothing is left on the nodes. Looked at are the nodes: no leftovers is what is wanted. */
export function checkLeftovers(facts: Facts): CheckResult {
  const { containers, networks, folders, mounts } = facts.leftovers
  return {
    name: 'nothing is left on the nodes',
    checked: facts.nodes.length,
    violations: [
      ...containers.map((name) => `the container ${name} is left`),
      ...networks.map((name) => `the network ${name} is left`),
      ...folders.map((path) => `the folder ${path} is left`),
      ...mounts.map((path) => `${path} is still mounted`),
    ],
  }
}
