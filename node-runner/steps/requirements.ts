import { chown, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'
import type { Assignment } from '#bus/messages/claim.ts'
import { RESERVED_FOLDER } from '#core/job/path.ts'
import type { OutputPiece } from '../docker/demux.ts'
import { containerOptions, JOB_UID, type Sandbox } from '../docker/options.ts'
import { StepError } from '../step-error.ts'
import { removeContainer, runContainer } from './container.ts'

/** Where installed packages lie, as the job sees it. */
export const SITE_PACKAGES = `/work/${RESERVED_FOLDER}/site-packages`

/** What installing needs. */
export interface RequirementsRun {
  docker: Docker
  job: Assignment
  workDir: string
  sandbox: Sandbox
  pipIndexUrl: string | undefined
  timeoutMs: number
  /** Masked in what pip says. */
  secrets: readonly string[]
  output(piece: OutputPiece): Promise<void>
  stop: AbortSignal
}

/**
 * Installs Python requirements into the work folder, by pip in a container that is hardened like the job's and has the
 * network of jobs that asked for one. Throws a StepError with pip's last lines.
 */
export async function installRequirements(run: RequirementsRun): Promise<void> {
  const folder = join(run.workDir, RESERVED_FOLDER)
  await mkdir(folder)
  await writeFile(join(folder, 'requirements.txt'), run.job.spec.requirements ?? '')
  await chown(folder, JOB_UID, JOB_UID)
  const command = [
    'python',
    '-m',
    'pip',
    'install',
    '--no-input',
    '--no-cache-dir',
    '--disable-pip-version-check',
    '--progress-bar=off',
    '--target',
    SITE_PACKAGES,
    '-r',
    `/work/${RESERVED_FOLDER}/requirements.txt`,
  ]
  const env: Record<string, string> =
    run.pipIndexUrl === undefined ? {} : { PIP_INDEX_URL: run.pipIndexUrl, PIP_TRUSTED_HOST: new URL(run.pipIndexUrl).hostname }
  const job: Assignment = {
    ...run.job,
    attemptId: `${run.job.attemptId}-requirements`,
    spec: { ...run.job.spec, command, args: [], memoryBytes: Math.max(run.job.spec.memoryBytes, 512 * 2 ** 20) },
  }
  let tail = ''
  const container = await run.docker.createContainer(containerOptions(job, { ...run.sandbox, env }))
  const pip = {
    timeoutMs: run.timeoutMs,
    graceMs: 1000,
    secrets: run.secrets,
    async output(piece: OutputPiece) {
      tail = (tail + piece.data.toString('utf8')).slice(-1000)
      await run.output(piece)
    },
    stopping: async () => undefined,
    stop: run.stop,
  }
  const end = await runContainer(container, pip, () => undefined).finally(() => removeContainer(container))
  run.stop.throwIfAborted()
  if (end.exitCode === 0) return
  const transient = end.cause === 'timeout' || /connection|timed out|temporary failure|name resolution/i.test(tail)
  throw new StepError('input', `the requirements cannot be installed: ${tail.trim().split('\n').slice(-3).join(' | ') || end.cause}`, { transient })
}
