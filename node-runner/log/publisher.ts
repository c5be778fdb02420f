import { type FileHandle, open } from 'node:fs/promises'
import type { Bus } from '#bus/bus.ts'
import { logSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { pause } from '#core/service/time.ts'

/** Messages under way at once. Readers put as many into order again (bus/log-order.ts). */
const WINDOW = 64
const READ_BYTES = 256 * 1024
const ACK_MS = 5000
const RETRY_MS = 500
const IDLE_MS = 60_000

/** Sends a log file to the bus while it grows. */
export interface LogPublisher {
  /** There is more in the file. */
  poke(): void
  /** Resolves when everything up to `written` bytes is acknowledged, or false when the signal is aborted before. */
  finish(written: number, signal: AbortSignal): Promise<boolean>
  stop(): Promise<void>
}

/**
 * Reads the file in order and publishes each line, a bounded number in flight; from the first that is not acknowledged on
 * all are sent again (readers drop repeats by number). While the bus is away the file waits, and the job does not notice.
 */
export function createLogPublisher(bus: Bus, nodeId: string, attemptId: string, path: string, log: Log): LogPublisher {
  const subject = logSubject(nodeId, attemptId)
  const stopping = new AbortController()
  let wake = new AbortController()
  /** How many bytes of the file were acknowledged without a gap. */
  let acknowledged = 0
  let waiters: { upTo: number; resolve(): void }[] = []

  async function run(): Promise<void> {
    const file = await open(path, 'r')
    try {
      while (!stopping.signal.aborted) {
        const flight = createFlight(advance, () => wake.abort())
        await publishFrom(file, acknowledged, flight).catch(async (error: unknown) => {
          log.debug({ attemptId, error: errorText(error) }, 'log not acknowledged; sending it again')
          await pause(RETRY_MS, stopping.signal)
        })
      }
    } finally {
      await file.close()
    }
  }

  /** Publishes line after line from this place on, until it is stopped. Throws when one was not acknowledged. */
  async function publishFrom(file: FileHandle, start: number, flight: Flight): Promise<void> {
    const buffer = Buffer.alloc(READ_BYTES)
    let sent = start
    while (!stopping.signal.aborted) {
      wake = new AbortController()
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, sent)
      const end = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1
      for (let at = 0; at < end; ) {
        await flight.room()
        // What is published while the connection is down piles up in the client.
        if (!bus.isConnected()) throw new Error('the bus is away')
        const next = buffer.indexOf(10, at) + 1
        flight.add(next - at, bus.store(subject, Uint8Array.from(buffer.subarray(at, next - 1)), { timeoutMs: ACK_MS }))
        sent += next - at
        at = next
      }
      flight.check()
      if (end === 0) await pause(IDLE_MS, AbortSignal.any([stopping.signal, wake.signal]))
    }
  }

  function advance(bytes: number): void {
    acknowledged += bytes
    waiters = waiters.filter((waiter) => {
      if (acknowledged < waiter.upTo) return true
      waiter.resolve()
      return false
    })
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

/** What is under way. */
interface Flight {
  add(bytes: number, ack: Promise<unknown>): void
  /** Throws when one was not acknowledged. */
  check(): void
  /** Resolves when there is room for one more; throws like `check`. */
  room(): Promise<void>
}

/** `advance` is told the bytes of what was acknowledged, in the order in which it was added, up to the first that was not; `failed` that there is one. */
function createFlight(advance: (bytes: number) => void, failed: () => void): Flight {
  const waiting: { bytes: number; done: boolean }[] = []
  let failure: unknown
  let changed: () => void = () => undefined

  const check = () => {
    if (failure !== undefined) throw failure
  }
  const fail = (reason: unknown) => {
    failure ??= reason
    changed()
    failed()
  }
  return {
    check,
    add(bytes, ack) {
      const entry = { bytes, done: false }
      waiting.push(entry)
      ack.then(() => {
        entry.done = true
        while (failure === undefined && waiting[0]?.done) advance(waiting.shift()?.bytes ?? 0)
        changed()
      }, fail)
    },
    async room() {
      check()
      while (waiting.length >= WINDOW) {
        await new Promise<void>((resolve) => {
          changed = resolve
        })
        check()
      }
    },
  }
}
