import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import type { Cause } from '#core/job/state.ts'
import { DeadlineError, nowMs, withDeadline } from '#core/service/time.ts'
import type { AttemptRun } from './attempt-run.ts'
import { containerName } from './docker/options.ts'
import { maskText } from './log/mask.ts'
import { prepare } from './prepare.ts'
import { saveRecord } from './record.ts'
import { type End, StepError } from './step-error.ts'
import { adoptContainer, type ContainerRun, type FoundContainer, removeContainer, runContainer } from './steps/container.ts'
import { removeWorkDir } from './steps/workspace.ts'

/**
 * Runs the container of an attempt to its end and takes it away: from the beginning, or goes on with the one that an
 * earlier run of this process started. How it ended is written down before the container goes.
 */
export async function execute(run: AttemptRun): Promise<End> {
  const { record, deps } = run
  const left = record.snapshot === null ? 'unstarted' : await findStarted(deps.docker, containerName(record.assignment.attemptId))
  if (left === 'gone') return { cause: 'interrupted', exitCode: null, transient: true, message: 'the container was removed while the runner was away' }
  let container: Docker.Container | undefined
  try {
    if (left === 'unstarted') {
      container = await prepareAnew(run)
      record.end = await start(run, container)
    } else {
      container = left.container
      record.end = await goOn(run, left)
    }
    // Its secrets are not written down any more, so that nobody could mask it later.
    if (record.end.message !== null) record.end.message = maskText(record.end.message, run.secrets)
    await note(run, 'how the attempt ended could not be written down')
    return record.end
  } finally {
    // By its name where nobody told that it was made: the answer may have been lost.
    await removeContainer(container ?? deps.docker.getContainer(containerName(record.assignment.attemptId)))
  }
}

interface Started {
  container: Docker.Container
  startedAtMs: number
}

/** The container of that name, if it was ever started. */
async function findStarted(docker: Docker, name: string): Promise<Started | 'unstarted' | 'gone'> {
  const container = docker.getContainer(name)
  const info = await container.inspect().catch((error: { statusCode?: number }) => {
    if (error.statusCode === 404) return undefined
    throw error
  })
  if (!info) return 'gone'
  const startedAtMs = Date.parse(info.State.StartedAt)
  return info.State.Status !== 'created' && startedAtMs > 0 ? { container, startedAtMs } : 'unstarted'
}

async function goOn(run: AttemptRun, { container, startedAtMs }: Started): Promise<End> {
  const { record, deps, sink } = run
  deps.log.info({ jobId: record.assignment.jobId, attemptId: record.assignment.attemptId }, 'container of an earlier run taken over')
  record.startedAtMs = startedAtMs
  tellRunning(run)
  const found: FoundContainer = {
    startedAtMs,
    stopping: record.stopping,
    known: sink.known,
    lost: () => void sink.say('the runner was away, and a part of the output may be missing here').catch(() => undefined),
  }
  return run.watch.step('run', () => adoptContainer(container, containerRun(run), found))
}

/** What an earlier run half made goes first; the log stays, and goes on. */
async function prepareAnew(run: AttemptRun): Promise<Docker.Container> {
  const { record, isNew, deps, workspace, stop } = run
  if (!isNew) {
    await removeContainer(deps.docker.getContainer(containerName(record.assignment.attemptId)))
    await removeWorkDir(workspace)
  }
  const limitMs = Math.min(deps.prepareMs, (record.assignment.spec.prepareTimeoutSeconds ?? Number.POSITIVE_INFINITY) * 1000)
  try {
    const signal = AbortSignal.any([stop, deps.leaving])
    return await run.watch.step('prepare', () => withDeadline('preparing', limitMs, (limit) => prepare(run, limit), signal))
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error
    throw new StepError('prepare_timeout', `image, inputs and requirements took longer than ${limitMs / 1000} s (prepareTimeoutSeconds)`, { transient: true })
  }
}

async function start(run: AttemptRun, container: Docker.Container): Promise<End> {
  // From here on the container may run, whoever looks at it next.
  await saveRecord(run.workspace, run.record)
  return run.watch.step('run', () => {
    const started = run.watch.begin('start')
    return runContainer(container, containerRun(run), () => {
      run.record.startedAtMs = nowMs()
      started()
      tellRunning(run)
    }).finally(() => started(new Error('not started')))
  })
}

function containerRun(run: AttemptRun): ContainerRun {
  const { sink, stop } = run
  const { spec } = run.record.assignment
  return {
    timeoutMs: spec.timeoutSeconds * 1000,
    graceMs: spec.gracePeriodSeconds * 1000,
    secrets: run.secrets,
    output: (piece) => sink.write(piece.stream, piece.data),
    stop,
    async stopping(cause: Cause) {
      run.record.stopping = cause
      await note(run, 'why the attempt is stopped could not be written down')
    },
  }
}

/** Writes the record; a full disk does not change what becomes of the attempt. */
async function note({ deps, record, workspace }: AttemptRun, failed: string): Promise<void> {
  await saveRecord(workspace, record).catch((error: unknown) => deps.log.warn({ attemptId: record.assignment.attemptId, error: errorText(error) }, failed))
}

function tellRunning({ deps, record }: AttemptRun): void {
  const { attemptId, leaseToken } = record.assignment
  void deps.reporter.progress({ kind: 'progress', attemptId, leaseToken, state: 'running', imageDigest: record.imageDigest })
}
