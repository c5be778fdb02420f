import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import type { AttemptDeps, AttemptRun } from './attempt-run.ts'
import { containerOptions, type Sandbox } from './docker/options.ts'
import { StepError } from './step-error.ts'
import { removeContainer } from './steps/container.ts'
import { fetchInputs } from './steps/inputs.ts'
import { takeSnapshot } from './steps/outputs.ts'
import { installRequirements, SITE_PACKAGES } from './steps/requirements.ts'
import { createWorkspace } from './steps/workspace.ts'

/**
 * Makes everything ready and returns the container, created and not started. Files and image are prepared side by side,
 * and the container is created meanwhile: its work folder is bound when it starts.
 */
export async function prepare(run: AttemptRun, signal: AbortSignal): Promise<Docker.Container> {
  const { deps, job, workspace } = run
  const files = createWorkspace(workspace, job.spec.diskBytes).then(() => fetchInputs(job, workspace.workDir, deps.allowed, signal))
  const created = prepareSandbox(run, signal).then(async (sandbox) => {
    if (job.spec.requirements !== null) {
      await files
      await install(run, sandbox, signal)
    }
    const paths = [SITE_PACKAGES, job.spec.env.PYTHONPATH].filter((path) => path !== undefined && path !== '')
    const env: Record<string, string> = job.spec.requirements === null ? {} : { PYTHONPATH: paths.join(':') }
    return deps.docker.createContainer(containerOptions(job, { ...sandbox, env }))
  })
  // Both are waited for, whatever happens to one, so that nothing is made behind the clean-up's back.
  const [filesEnd, containerEnd] = await Promise.allSettled([files, created])
  try {
    if (filesEnd.status === 'rejected') throw filesEnd.reason
    if (containerEnd.status === 'rejected') throw containerEnd.reason
    signal.throwIfAborted()
    run.snapshot = await takeSnapshot(workspace.workDir)
    return containerEnd.value
  } catch (error) {
    if (containerEnd.status === 'fulfilled') await removeContainer(containerEnd.value)
    throw error
  }
}

async function prepareSandbox(run: AttemptRun, signal: AbortSignal): Promise<Sandbox> {
  const { deps, job, workspace } = run
  const image = await deps.images.ensure(job.spec.image, signal)
  run.imageDigest = image.digest
  return { nodeId: deps.nodeId, imageId: image.id, workDir: workspace.workDir, network: job.spec.network ? await closedBridge(deps) : null }
}

async function install(run: AttemptRun, sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const { deps, job, workspace, sink } = run
  await installRequirements({
    docker: deps.docker,
    job,
    workDir: workspace.workDir,
    sandbox: { ...sandbox, network: sandbox.network ?? (await closedBridge(deps)) },
    pipIndexUrl: deps.pipIndexUrl,
    timeoutMs: deps.prepareMs,
    output: (piece) => sink.write('system', piece.data),
    stop: signal,
  })
}

/** Fails closed: without the rules a job gets no network. */
async function closedBridge(deps: AttemptDeps): Promise<string> {
  try {
    return await deps.egress.ensure()
  } catch (error) {
    throw new StepError('runner_error', `this node cannot give a job a network that is closed to private addresses: ${errorText(error)}`, { transient: true })
  }
}
