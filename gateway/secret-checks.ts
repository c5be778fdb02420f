import { type Issue, validationError } from '#core/errors.ts'
import { MAX_ISSUES, type ValidJob } from '#core/job/validate.ts'
import { knownSecrets } from '#store/project-secrets.ts'
import type { Principal } from './access/caller.ts'
import type { TenantDeps } from './deps.ts'

/** The field of a variable of a job, by the job's number. */
type FieldOf = (job: number, variable: string) => string

/** Throws when a variable asks for a secret that the project does not have. */
export async function checkSecrets(deps: Pick<TenantDeps, 'db'>, principal: Principal, jobs: readonly ValidJob[], at: FieldOf): Promise<void> {
  const issues = await findMissingSecrets(deps, principal, jobs, at)
  if (issues.length > 0) throw validationError(issues)
}

/** The same, as the faults. */
export async function findMissingSecrets(deps: Pick<TenantDeps, 'db'>, principal: Principal, jobs: readonly ValidJob[], at: FieldOf): Promise<Issue[]> {
  const wanted = new Set(jobs.flatMap((job) => Object.values(job.resolved.secretEnv ?? {})))
  if (wanted.size === 0) return []
  const known = await knownSecrets(deps.db, principal.projectId, [...wanted])
  // By path, as a variable of a batch's template is one of each of its jobs.
  const issues = new Map<string, Issue>()
  for (const [index, job] of jobs.entries()) {
    for (const [variable, name] of Object.entries(job.resolved.secretEnv ?? {})) {
      if (known.has(name)) continue
      const path = at(index, variable)
      issues.set(path, { path, message: `the project has no secret ${name} with a value; set it first: rgrid secrets set ${name}` })
    }
    if (issues.size >= MAX_ISSUES) break
  }
  return [...issues.values()].slice(0, MAX_ISSUES)
}
