import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import type { AttemptDeps, AttemptRun } from './attempt-run.ts'
import { containerOptions, type Sandbox } from './docker/options.ts'
import { rememberLease } from './lease-file.ts'
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
  const created = create(run, files, signal)
  // Behind the creation, as making the note durable keeps the disk busy. Until then the renewal tells what is lost.
  const noted = created.then(() => rememberLease(workspace, job))
  // All are waited for, whatever happens to one, so that nothing is made behind the clean-up's back.
  const ends = await Promise.allSettled([files, created, noted])
  try {
    for (const end of ends) if (end.status === 'rejected') throw end.reason
    signal.throwIfAborted()
    run.snapshot = await takeSnapshot(workspace.workDir)
    return await created
  } catch (error) {
    await created.then(removeContainer, () => undefined)
    throw error
  }
}

/** Creates the container by the image's name, at once; only when the engine does not have it is it pulled first. */
async function create(run: AttemptRun, files: Promise<void>, signal: AbortSignal): Promise<Docker.Container> {
  const { deps, job, workspace } = run
  const image = deps.images.ensure(job.spec.image, signal)
  image.catch(() => undefined)
  const sandbox = { nodeId: deps.nodeId, imageId: job.spec.image, workDir: workspace.workDir, network: job.spec.network ? await closedBridge(deps) : null }
  const env: Record<string, string> = {}
  if (job.spec.requirements !== null) {
    await Promise.all([files, image])
    await install(run, sandbox, signal)
    env.PYTHONPATH = [SITE_PACKAGES, job.spec.env.PYTHONPATH].filter((path) => path !== undefined && path !== '').join(':')
  }
  const container = await deps.docker.createContainer(containerOptions(job, { ...sandbox, env })).catch(async (error: { statusCode?: number }) => {
    if (error.statusCode !== 404) throw error
    const { id } = await image
    return deps.docker.createContainer(containerOptions(job, { ...sandbox, imageId: id, env }))
  })
  run.imageDigest = (await image).digest
  return container
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
