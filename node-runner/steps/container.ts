import type { Duplex } from 'node:stream'
import type Docker from 'dockerode'
import { after } from '#core/service/time.ts'
import { demux, type OutputPiece } from '../docker/demux.ts'
import { StepError, StopRequest } from '../step-error.ts'

/** How the process of a container ended. */
export interface ContainerEnd {
  cause: 'exit' | 'timeout' | 'oom' | 'cancelled' | 'interrupted'
  exitCode: number | null
  message: string | null
}

/** What running a container needs. */
export interface ContainerRun {
  timeoutMs: number
  graceMs: number
  /** Hears the output; while it does, nothing more is read. */
  output(piece: OutputPiece): Promise<void>
  started(): void
  /** Aborted with a StopRequest. */
  stop: AbortSignal
}

/**
 * Runs a created container to its end, and removes it. The output is attached before the start, so that no byte is
 * missed; the end is asked for after the start, as asking before can miss it. The first of exit, timeout and stop is
 * the cause.
 */
export async function runContainer(container: Docker.Container, run: ContainerRun): Promise<ContainerEnd> {
  let cause: ContainerEnd['cause'] | 'stale' | undefined
  const end = (because: NonNullable<typeof cause>) => {
    if (cause) return
    cause = because
    void container.stop({ t: Math.ceil(run.graceMs / 1000) }).catch(() => undefined)
  }
  const onStop = () => end(run.stop.reason instanceof StopRequest ? run.stop.reason.why : 'interrupted')
  try {
    run.stop.throwIfAborted()
    const stream = (await container.attach({ stream: true, stdout: true, stderr: true })) as unknown as Duplex
    const drained = drain(stream, run)
    await container.start().catch((error: Error & { statusCode?: number }) => {
      stream.destroy()
      throw startError(error)
    })
    run.started()
    const cancelTimer = after(run.timeoutMs, () => end('timeout'))
    run.stop.addEventListener('abort', onStop)
    if (run.stop.aborted) onStop()
    const { StatusCode: exitCode } = (await container.wait()) as { StatusCode: number }
    cancelTimer()
    cause ??= 'exit'
    await drained
    const state = (await container.inspect()).State
    if (cause === 'stale') throw new StopRequest('stale')
    if (cause === 'exit' && exitCode === 137 && state.OOMKilled)
      return { cause: 'oom', exitCode, message: 'killed: it took more memory than it may; ask for more with resources.memory' }
    if (cause === 'timeout') return { cause, exitCode, message: `stopped: it ran longer than ${run.timeoutMs / 1000} s (timeoutSeconds)` }
    return { cause, exitCode: cause === 'exit' ? exitCode : null, message: null }
  } finally {
    run.stop.removeEventListener('abort', onStop)
    await removeContainer(container)
  }
}

/** Takes a container away, in whatever state it is. */
export async function removeContainer(container: Docker.Container): Promise<void> {
  await container.remove({ force: true, v: true }).catch((error: { statusCode?: number }) => {
    if (error.statusCode !== 404 && error.statusCode !== 409) throw error
  })
}

async function drain(stream: Duplex, run: ContainerRun): Promise<void> {
  for await (const piece of demux(stream)) await run.output(piece)
}

/** A program that is not there is the job's fault, and ends as a shell says it: exit code 127, or 126 when not executable. */
function startError(error: Error & { statusCode?: number }): Error {
  if (error.statusCode === 400 || error.statusCode === 404 || /OCI runtime|exec:/i.test(error.message)) {
    const reason = /exec: (.*?)(?:: unknown)?$/m.exec(error.message)?.[1] ?? error.message
    if (/executable file not found|no such file/i.test(error.message))
      return new StepError('exit', `the command cannot be started: ${reason}`, { exitCode: 127 })
    if (/permission denied/i.test(error.message)) return new StepError('exit', `the command cannot be started: ${reason}`, { exitCode: 126 })
  }
  return new StepError('runner_error', `the container cannot be started: ${error.message}`, { transient: true })
}
