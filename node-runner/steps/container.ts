import type { Duplex } from 'node:stream'
import type Docker from 'dockerode'
import type { Cause } from '#core/job/state.ts'
import { after, nowMs, pause } from '#core/service/time.ts'
import { demux, type OutputPiece } from '../docker/demux.ts'
import { afterPosition, recordedOutput } from '../docker/recorded-log.ts'
import { masked } from '../log/mask.ts'
import type { RecoveredLog } from '../log/recover.ts'
import { type End, ofJobs, StepError, StopRequest } from '../step-error.ts'

/** How long to wait before asking an engine again that could not stop a container. */
const STOP_AGAIN_MS = 1000

type StopCause = 'timeout' | 'cancelled' | 'interrupted' | 'stale'

/** What running a container needs. */
export interface ContainerRun {
  timeoutMs: number
  graceMs: number
  /** Masked in the output. */
  secrets: readonly string[]
  /** Hears the output; while it does, nothing more is read. */
  output(piece: OutputPiece): Promise<void>
  /** Is told before the container is stopped. Never rejects. */
  stopping(cause: Cause): Promise<void>
  /** Aborted with a StopRequest. */
  stop: AbortSignal
}

/**
 * Starts a created container and follows it to its end. The output is attached before the start, so that no byte is
 * missed; the end is asked for after the start, as asking before can miss it.
 */
export async function runContainer(container: Docker.Container, run: ContainerRun, started: () => void): Promise<End> {
  run.stop.throwIfAborted()
  const stream = (await container.attach({ stream: true, stdout: true, stderr: true })) as unknown as Duplex
  const drained = drain(masked(demux(stream), run.secrets), run)
  drained.catch(() => undefined)
  await container.start().catch((error: Error & { statusCode?: number }) => {
    stream.destroy()
    throw startError(error)
  })
  started()
  return followToEnd(container, run, drained, run.timeoutMs, undefined)
}

/** How a runner that starts anew finds a container. */
export interface FoundContainer {
  startedAtMs: number
  /** What the earlier run was stopping it for. */
  stopping: Cause | null
  /** How much of its output is in the log already. */
  known: Pick<RecoveredLog, 'positions' | 'lastAtMs'>
  /** Is told when the engine does not hold all of the output any more. */
  lost(): void
}

/** Goes on with a container that was started by an earlier run of this process, whether it has ended meanwhile or not. */
export async function adoptContainer(container: Docker.Container, run: ContainerRun, found: FoundContainer): Promise<End> {
  const seen = { stdout: found.known.positions.stdout.bytes, stderr: found.known.positions.stderr.bytes }
  const counted: ContainerRun = {
    ...run,
    async output(piece) {
      await run.output(piece)
      seen[piece.stream] += piece.data.length
    },
  }
  const drained = drain(afterPosition(masked(recordedOutput(container), run.secrets, false), found.known, found.lost), counted)
  drained.catch(() => undefined)
  const leftMs = Math.max(0, found.startedAtMs + run.timeoutMs - nowMs())
  const end = await followToEnd(container, run, drained, leftMs, (found.stopping ?? undefined) as StopCause | undefined)
  const at = (bytes: number) => ({ bytes, tail: Buffer.alloc(0) })
  const whole = { positions: { stdout: at(seen.stdout), stderr: at(seen.stderr) }, lastAtMs: Number.POSITIVE_INFINITY }
  await drain(afterPosition(masked(recordedOutput(container), run.secrets), whole, found.lost), run)
  return end
}

/** The first of exit, timeout and stop is the cause. */
async function followToEnd(
  container: Docker.Container,
  run: ContainerRun,
  drained: Promise<void>,
  timeoutMs: number,
  stopping: StopCause | undefined,
): Promise<End> {
  const ended = new AbortController()
  let cause: 'exit' | StopCause | undefined
  const stopFor = async (because: StopCause) => {
    if (cause) return
    cause = because
    if (because !== 'stale') await run.stopping(because)
    await stopContainer(container, run.graceMs, ended.signal)
  }
  const onStop = () => void stopFor(run.stop.reason instanceof StopRequest ? run.stop.reason.why : 'interrupted')
  const cancelTimer = after(timeoutMs, () => void stopFor('timeout'))
  run.stop.addEventListener('abort', onStop)
  try {
    if (stopping) void stopFor(stopping)
    if (run.stop.aborted) onStop()
    const { StatusCode: exitCode } = (await container.wait()) as { StatusCode: number }
    cancelTimer()
    cause ??= 'exit'
    await drained
    const state = (await container.inspect()).State
    if (cause === 'stale') throw new StopRequest('stale')
    return endWith(cause, exitCode, state.OOMKilled, run.timeoutMs)
  } finally {
    ended.abort()
    cancelTimer()
    run.stop.removeEventListener('abort', onStop)
  }
}

function endWith(cause: Exclude<StopCause, 'stale'> | 'exit', exitCode: number, oomKilled: boolean, timeoutMs: number): End {
  const end = { cause, exitCode: cause === 'exit' ? exitCode : null, transient: false, message: null }
  if (cause === 'exit' && exitCode === 137 && oomKilled)
    return { ...end, cause: 'oom', exitCode, message: 'killed: it took more memory than it may; ask for more with resources.memory' }
  if (cause === 'timeout') return { ...end, exitCode, message: `stopped: it ran longer than ${timeoutMs / 1000} s (timeoutSeconds)` }
  return end
}

/** SIGTERM, and after the grace SIGKILL: with process 1 its whole process tree goes. Asked again until it has ended. */
async function stopContainer(container: Docker.Container, graceMs: number, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    const asked = await container.stop({ t: Math.ceil(graceMs / 1000) }).then(
      () => true,
      // 304: it has ended already; 404: it is gone.
      (error: { statusCode?: number }) => error.statusCode === 304 || error.statusCode === 404,
    )
    if (asked) return
    await pause(STOP_AGAIN_MS, ended)
  }
}

/** Takes a container away, in whatever state it is. */
export async function removeContainer(container: Docker.Container): Promise<void> {
  await container.remove({ force: true, v: true }).catch((error: { statusCode?: number }) => {
    if (error.statusCode !== 404 && error.statusCode !== 409) throw error
  })
}

async function drain(pieces: AsyncIterable<OutputPiece>, run: ContainerRun): Promise<void> {
  for await (const piece of pieces) await run.output(piece)
}

function startError(error: Error & { statusCode?: number }): Error {
  if (error.statusCode === 400 || error.statusCode === 404 || /OCI runtime|exec:/i.test(error.message)) {
    const reason = /exec: (.*?)(?:: unknown)?$/m.exec(error.message)?.[1] ?? error.message
    if (/executable file not found|no such file/i.test(error.message))
      return new StepError('exit', `the command cannot be started: ${reason}`, { exitCode: 127 })
    if (/permission denied/i.test(error.message)) return new StepError('exit', `the command cannot be started: ${reason}`, { exitCode: 126 })
  }
  return new StepError('runner_error', `the container cannot be started: ${error.message}`, { transient: true, nodeFault: !ofJobs(error) })
}
