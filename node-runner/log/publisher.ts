import { open } from 'node:fs/promises'
import type { Bus } from '#bus/bus.ts'
import { logSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { pause } from '#core/service/time.ts'

const WINDOW = 64
const READ_BYTES = 256 * 1024
const ACK_MS = 5000
const RETRY_MS = 500

/** Sends a log file to the bus while it grows. */
export interface LogPublisher {
  /** There is more in the file. */
  poke(): void
  /** Resolves when everything up to `written` bytes is acknowledged, or false when the signal is aborted before. */
  finish(written: number, signal: AbortSignal): Promise<boolean>
  stop(): Promise<void>
}

/**
 * Reads the file in order and publishes each line, a bounded number in flight; what is not acknowledged is sent again
 * (readers drop repeats by number). While the bus is away the file waits, and the job does not notice.
 */
export function createLogPublisher(bus: Bus, nodeId: string, attemptId: string, path: string, log: Log): LogPublisher {
  const subject = logSubject(nodeId, attemptId)
  const stopping = new AbortController()
  let wake = new AbortController()
  let acknowledged = 0
  let waiters: { upTo: number; resolve(): void }[] = []

  async function run(): Promise<void> {
    const file = await open(path, 'r')
    const buffer = Buffer.alloc(READ_BYTES)
    try {
      while (!stopping.signal.aborted) {
        wake = new AbortController()
        const { bytesRead } = await file.read(buffer, 0, READ_BYTES, acknowledged)
        const end = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1
        // What is published while the connection is down piles up in the client.
        if (end > 0 && !bus.isConnected()) {
          await pause(RETRY_MS, stopping.signal)
          continue
        }
        if (end === 0) {
          await pause(60_000, AbortSignal.any([stopping.signal, wake.signal]))
          continue
        }
        acknowledged += await publish(buffer.subarray(0, end))
        waiters = waiters.filter((waiter) => {
          if (acknowledged < waiter.upTo) return true
          waiter.resolve()
          return false
        })
      }
    } finally {
      await file.close()
    }
  }

  /** Publishes lines in order; returns the bytes of those that were acknowledged without a gap. */
  async function publish(lines: Buffer): Promise<number> {
    let sent = 0
    let done = 0
    while (sent < lines.length && !stopping.signal.aborted) {
      const round: { bytes: number; ack: Promise<unknown> }[] = []
      for (; sent < lines.length && round.length < WINDOW; ) {
        const next = lines.indexOf(10, sent) + 1
        round.push({ bytes: next - sent, ack: bus.jetstream.publish(subject, Uint8Array.from(lines.subarray(sent, next - 1)), { timeout: ACK_MS }) })
        sent = next
      }
      const results = await Promise.allSettled(round.map(({ ack }) => ack))
      const failed = results.findIndex((result) => result.status === 'rejected')
      for (const { bytes } of failed === -1 ? round : round.slice(0, failed)) done += bytes
      if (failed === -1) continue
      log.debug({ attemptId, error: errorText((results[failed] as PromiseRejectedResult).reason) }, 'log not acknowledged; sending it again')
      await pause(RETRY_MS, stopping.signal)
      return done
    }
    return done
  }

  const running = run()
  running.catch((error: unknown) => log.error({ attemptId, error: errorText(error) }, 'publishing a log failed'))

  return {
    poke: () => wake.abort(),
    async finish(written, signal) {
      wake.abort()
      if (acknowledged >= written) return true
      const { promise, resolve } = Promise.withResolvers<void>()
      waiters.push({ upTo: written, resolve })
      const aborted = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }))
      await Promise.race([promise, aborted, running])
      return acknowledged >= written
    },
    async stop() {
      stopping.abort()
      await running.catch(() => undefined)
    },
  }
}
