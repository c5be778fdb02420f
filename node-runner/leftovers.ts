import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'
import type { Log } from '#core/service/log.ts'
import { finishedReport } from './attempt.ts'
import { LABELS } from './docker/options.ts'
import { readLease } from './lease-file.ts'
import type { Reporter } from './report.ts'
import { removeContainer } from './steps/container.ts'
import { removeWorkspace, workspaceOf } from './steps/workspace.ts'

/**
 * Takes away what an earlier run of this runner left: its containers, work folders and mounts. Attempts whose end it
 * had written down are reported now; the others are handed back as interrupted.
 */
export async function clearLeftovers(docker: Docker, nodeId: string, dir: string, reporter: Reporter, log: Log): Promise<void> {
  const containers = await docker.listContainers({ all: true, filters: { label: [`${LABELS.node}=${nodeId}`] } })
  for (const { Id } of containers) await removeContainer(docker.getContainer(Id))
  const unsent = await reporter.unsent()
  const attempts = await readdir(join(dir, 'attempts')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const reports = [...unsent]
  for (const attemptId of attempts) {
    const workspace = workspaceOf(dir, attemptId)
    const lease = await readLease(workspace)
    if (lease && !unsent.some((report) => report.attemptId === attemptId))
      reports.push(finishedReport(lease, { cause: 'interrupted', exitCode: null, transient: true, message: 'the runner was started anew' }))
    await removeWorkspace(workspace)
  }
  if (containers.length + attempts.length + unsent.length > 0)
    log.info({ containers: containers.length, attempts: attempts.length, unsent: unsent.length }, 'leftovers of an earlier run cleared')
  for (const report of reports) void reporter.finished(report)
}
