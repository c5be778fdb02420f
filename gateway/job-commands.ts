import { Control } from '#bus/messages/node.ts'
import { controlSubject } from '#bus/subjects.ts'
import { wakeNodes } from '#bus/wake.ts'
import type { CancelResult } from '#core/api.ts'
import { type Issue, validationError } from '#core/errors.ts'
import { MAX_ISSUES, type ValidJob } from '#core/job/validate.ts'
import type { Cancelled } from '#store/job-cancel.ts'
import { readyFiles } from '#store/job-submit.ts'
import type { Principal } from './access/caller.ts'
import type { TenantDeps } from './deps.ts'

/** Tells nodes to stop what was cancelled, and wakes others for what came free. */
export function afterCancel(deps: Pick<TenantDeps, 'bus'>, cancelled: Cancelled): CancelResult {
  for (const { nodeId, attemptId } of cancelled.running) deps.bus.publish(controlSubject(nodeId), Control, { kind: 'cancel', attemptId })
  wakeNodes(deps.bus, cancelled.queued)
  return { cancelled: cancelled.ended, requested: cancelled.requested }
}

/** Throws when the document names a project that is not the key's. */
export function checkProject(principal: Principal, named: string | null): void {
  if (named !== null && named !== principal.projectSlug)
    throw validationError([
      { path: 'metadata.project', message: `is "${named}", but this is submitted to "${principal.projectSlug}"; leave it out or make them the same` },
    ])
}

/** Throws when an input names a file that is not a ready file of the project. `at` is the field of an input of a job, by their numbers. */
export async function checkFiles(deps: TenantDeps, principal: Principal, jobs: readonly ValidJob[], at: FieldOf): Promise<void> {
  const issues = await findMissingFiles(deps, principal, jobs, at)
  if (issues.length > 0) throw validationError(issues)
}

/** The field of an input of a job, by their numbers. */
type FieldOf = (job: number, input: number) => string

/** The same, as the faults. */
export async function findMissingFiles(deps: TenantDeps, principal: Principal, jobs: readonly ValidJob[], at: FieldOf): Promise<Issue[]> {
  const wanted = new Set(jobs.flatMap((job) => job.resolved.inputs.flatMap((input) => input.file ?? [])))
  if (wanted.size === 0) return []
  const ready = await readyFiles(deps.db, principal.projectId, [...wanted])
  // By path, as an input of a batch's template is one of each of its jobs.
  const issues = new Map<string, Issue>()
  for (const [index, job] of jobs.entries()) {
    for (const [i, input] of job.resolved.inputs.entries()) {
      if (input.file === undefined || ready.has(input.file)) continue
      const path = `${at(index, i)}.file`
      issues.set(path, { path, message: `${input.file} is no uploaded file of this project` })
    }
    if (issues.size >= MAX_ISSUES) break
  }
  return [...issues.values()].slice(0, MAX_ISSUES)
}
