import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { AttemptDeps, AttemptRun } from './attempt-run.ts'
import { containerOptions, type Sandbox } from './docker/options.ts'
import { saveRecord } from './record.ts'
import { StepError } from './step-error.ts'
import { removeContainer } from './steps/container.ts'
import { fetchInputs } from './steps/inputs.ts'
import { takeSnapshot } from './steps/outputs.ts'
import { installRequirements, SITE_PACKAGES } from './steps/requirements.ts'
import { createWorkspace } from './steps/workspace.ts'
import { traceVariables } from './watch.ts'

/**
 * Makes everything ready and returns the container, created and not started. Files and image are prepared side by side,
 * and the container is created meanwhile: its work folder is bound when it starts.
 */
export async function prepare(run: AttemptRun, signal: AbortSignal): Promise<Docker.Container> {
  const { deps, workspace, record } = run
  const job = record.assignment
  const fault = job.secrets?.fault
  if (fault) throw new StepError('input', fault.message, { transient: fault.transient })
  const noted = saveRecord(workspace, record)
  const confirmation = createConfirmation(run, signal)
  const files = createWorkspace(workspace, job.spec.diskBytes).then(() =>
    run.watch.step('inputs', () => fetchInputs(job, workspace.workDir, deps.allowed, signal)),
  )
  const created = create(run, files, signal)
  // All are waited for, whatever happens to one, so that nothing is made behind the clean-up's back.
  const ends = await Promise.allSettled([files, created, noted, confirmation.first])
  try {
    for (const end of ends) if (end.status === 'rejected') throw end.reason
    signal.throwIfAborted()
    record.snapshot = [...(await takeSnapshot(workspace.workDir))]
    await confirmation.renew()
    return await created
  } catch (error) {
    await created.then(removeContainer, () => undefined)
    throw error
  }
}

/** An answer that is older than this is asked for again before the start. */
const CONFIRMED_FOR_MS = 2000

/** Asks whether to run the attempt while it is prepared, so that it costs no time; and again when that took long. */
function createConfirmation(run: AttemptRun, signal: AbortSignal): { first: Promise<void>; renew(): Promise<void> } {
  const { deps, record } = run
  const { attemptId, leaseToken } = record.assignment
  let confirmedAtMs = 0
  const ask = async () => {
    const askedAtMs = monotonicMs()
    await deps.reporter.confirm({ kind: 'progress', attemptId, leaseToken, state: 'preparing', imageDigest: record.imageDigest }, signal)
    confirmedAtMs = askedAtMs
  }
  return {
    first: ask(),
    async renew() {
      if (monotonicMs() - confirmedAtMs > CONFIRMED_FOR_MS) await ask()
    },
  }
}

/** Creates the container by the image's name, at once; only when the engine does not have it is it pulled first. */
async function create(run: AttemptRun, files: Promise<void>, signal: AbortSignal): Promise<Docker.Container> {
  const { deps, record, workspace } = run
  const job = record.assignment
  const image = run.watch.step('image', async () => {
    const found = await deps.images.ensure(job.spec.image, signal, job.secrets?.registry ?? null)
    record.imageDigest = found.digest
    return found
  })
  image.catch(() => undefined)
  const sandbox = {
    nodeId: deps.nodeId,
    imageId: job.spec.image,
    workDir: workspace.workDir,
    network: job.spec.network ? await closedBridge(deps) : null,
    maxLogBytes: deps.maxLogBytes,
    dir: deps.dir,
  }
  // A job that brings a trace of its own keeps it.
  const env: Record<string, string> = 'TRACEPARENT' in job.spec.env ? {} : traceVariables(run.watch.context)
  if (job.spec.requirements !== null) {
    await Promise.all([files, image])
    await run.watch.step('requirements', () => install(run, sandbox, signal))
    env.PYTHONPATH = [SITE_PACKAGES, job.spec.env.PYTHONPATH].filter((path) => path !== undefined && path !== '').join(':')
  }
  const createFrom = (imageId: string) => run.watch.step('create', () => deps.docker.createContainer(containerOptions(job, { ...sandbox, imageId, env })))
  // With credentials the image may be a new one behind the same name: it is waited for.
  const imageId = job.secrets?.registry ? (await image).id : sandbox.imageId
  const container = await createFrom(imageId).catch(async (error: { statusCode?: number }) => {
    // Its digest is told with whatever comes: another node may have another image of that name.
    const { id } = await image
    if (error.statusCode !== 404) throw error
    return createFrom(id)
  })
  await image
  return container
}

async function install(run: AttemptRun, sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const { deps, record, workspace, sink } = run
  const job = record.assignment
  await installRequirements({
    docker: deps.docker,
    job,
    workDir: workspace.workDir,
    sandbox: { ...sandbox, network: sandbox.network ?? (await closedBridge(deps)) },
    pipIndexUrl: deps.pipIndexUrl,
    timeoutMs: deps.prepareMs,
    secrets: run.secrets,
    output: (piece) => sink.write('system', piece.data),
    stop: signal,
  })
}

/** Fails closed: without the rules a job gets no network. */
async function closedBridge(deps: AttemptDeps): Promise<string> {
  try {
    return await deps.egress.ensure()
  } catch (error) {
    const message = `this node cannot give a job a network that is closed to private addresses: ${errorText(error)}`
    throw new StepError('runner_error', message, { transient: true, nodeFault: true })
  }
}
