import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type Docker from 'dockerode'
import type { Assignment } from '#bus/messages/claim.ts'
import type { Log } from '#core/service/log.ts'
import { finishedReport } from './attempt.ts'
import { LABELS } from './docker/options.ts'
import { writeDurably } from './files.ts'
import type { Reporter } from './report.ts'
import { removeWorkspace, workspaceOf } from './steps/workspace.ts'

const Lease = Type.Object({ attemptId: Type.String(), leaseToken: Type.String() })
const LEASE_FILE = 'lease.json'

/** Writes down that an attempt was taken, so that a runner that starts again knows of it. */
export async function rememberAttempt(dir: string, job: Assignment): Promise<void> {
  await writeDurably(join(workspaceOf(dir, job.attemptId).dir, LEASE_FILE), JSON.stringify({ attemptId: job.attemptId, leaseToken: job.leaseToken }))
}

/**
 * Takes away what an earlier run of this runner left: its containers, work folders and mounts. Attempts whose end it
 * had written down are reported now; the others are handed back as interrupted.
 */
export async function clearLeftovers(docker: Docker, nodeId: string, dir: string, reporter: Reporter, log: Log): Promise<void> {
  const containers = await docker.listContainers({ all: true, filters: { label: [`${LABELS.node}=${nodeId}`] } })
  for (const { Id } of containers) {
    await docker
      .getContainer(Id)
      .remove({ force: true, v: true })
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode !== 404 && error.statusCode !== 409) throw error
      })
  }
  const unsent = await reporter.unsent()
  const attempts = await readdir(join(dir, 'attempts')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const reports = [...unsent]
  for (const attemptId of attempts) {
    const workspace = workspaceOf(dir, attemptId)
    const lease: unknown = await readFile(join(workspace.dir, LEASE_FILE), 'utf8').then(JSON.parse, () => undefined)
    if (Value.Check(Lease, lease) && !unsent.some((report) => report.attemptId === attemptId))
      reports.push(finishedReport(lease, { cause: 'interrupted', exitCode: null, transient: true, message: 'the runner was started anew' }))
    await removeWorkspace(workspace)
  }
  if (containers.length + attempts.length + unsent.length > 0)
    log.info({ containers: containers.length, attempts: attempts.length, unsent: unsent.length }, 'leftovers of an earlier run cleared')
  for (const report of reports) void reporter.finished(report)
}
