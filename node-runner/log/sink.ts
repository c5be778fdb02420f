import { type FileHandle, open } from 'node:fs/promises'
import type { LogMessage } from '#bus/messages/log.ts'
import type { LogChunk } from '#core/api.ts'
import { formatBytes } from '#core/job/quantity.ts'
import { after, monotonicMs, nowMs, pause } from '#core/service/time.ts'
import { type RecoveredLog, recoverLog } from './recover.ts'
import { incompleteTail, toChunk } from './utf8.ts'

const BATCH_MS = 10
const BATCH_BYTES = 32 * 1024

/** The log of an attempt: a file of log messages, one a line, that the publisher reads. */
export interface LogSink {
  /** Adds output; resolves when it is in the file, or in the next batch. */
  write(stream: LogChunk['stream'], data: Buffer): Promise<void>
  /** Adds a sentence of ours. */
  say(sentence: string): Promise<void>
  /** Writes what is left and the last message; returns its number. */
  end(): Promise<number>
  /** How many bytes are in the file. */
  written(): number
  /** What was in the file when it was opened. */
  known: Pick<RecoveredLog, 'positions' | 'lastAtMs'>
  close(): Promise<void>
}

/** How long to wait before writing again to a disk that was full. */
const FULL_DISK_MS = 1000

/**
 * Opens the log, and goes on where an earlier run of this process ended. Output is put together for 10 ms or 32 KiB; the
 * first after a pause goes at once. More than `maxBytes` is dropped with a notice. `appended` is told the bytes of each line, `cutOff` when the
 * limit is reached.
 */
export async function createLogSink(path: string, maxBytes: number, appended: (bytes: number) => void, cutOff: () => void = () => undefined): Promise<LogSink> {
  const known = await recoverLog(path)
  const file: FileHandle = await open(path, known.seq === 0 ? 'w' : 'r+', 0o600)
  const closing = new AbortController()
  const tails: Record<string, Buffer> = {}
  let batch: { stream: LogChunk['stream']; at: number; parts: Buffer[] }[] = []
  let batchBytes = 0
  let { seq, kept } = known
  let written = known.fileBytes
  let cut = kept >= maxBytes
  let lastFlushMs = Number.NEGATIVE_INFINITY
  let cancelTimer: (() => void) | undefined
  let appending = Promise.resolve()

  function append(message: LogMessage): Promise<void> {
    const line = Buffer.from(`${JSON.stringify(message)}\n`)
    appending = appending.then(async () => {
      await writeWhole(line)
      written += line.length
      appended(line.length)
    })
    return appending
  }

  // A full disk passes; until then the job waits, and no byte is lost.
  async function writeWhole(line: Buffer): Promise<void> {
    for (let done = 0; done < line.length; ) {
      const { bytesWritten } = await file.write(line, done, line.length - done, written + done).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOSPC' || closing.signal.aborted) throw error
        return { bytesWritten: 0 }
      })
      done += bytesWritten
      if (bytesWritten === 0) await pause(FULL_DISK_MS, closing.signal)
    }
  }

  function flush(): Promise<void> {
    cancelTimer?.()
    cancelTimer = undefined
    lastFlushMs = monotonicMs()
    if (batch.length === 0) return appending
    const chunks = batch.map(({ stream, at, parts }) => toChunk(stream, at, Buffer.concat(parts)))
    batch = []
    batchBytes = 0
    seq++
    return append({ seq, chunks })
  }

  function add(stream: LogChunk['stream'], data: Buffer): void {
    const last = batch.at(-1)
    // Copied, as the reader may use its buffer again.
    if (last?.stream === stream) last.parts.push(Buffer.from(data))
    else batch.push({ stream, at: nowMs(), parts: [Buffer.from(data)] })
    batchBytes += data.length
  }

  async function write(stream: LogChunk['stream'], data: Buffer): Promise<void> {
    if (cut) return
    let whole = tails[stream] ? Buffer.concat([tails[stream], data]) : data
    const tail = incompleteTail(whole)
    tails[stream] = Buffer.from(whole.subarray(whole.length - tail))
    whole = whole.subarray(0, whole.length - tail)
    if (whole.length === 0) return
    if (kept + whole.length > maxBytes) {
      add(stream, whole.subarray(0, maxBytes - kept))
      add('system', Buffer.from(`\nthe log is cut here: it is longer than ${formatBytes(maxBytes)}; the job goes on\n`))
      cut = true
      cutOff()
      return flush()
    }
    kept += whole.length
    for (let at = 0; at < whole.length; at += BATCH_BYTES) {
      add(stream, whole.subarray(at, at + BATCH_BYTES))
      if (batchBytes >= BATCH_BYTES) await flush()
    }
    if (batch.length === 0 || cancelTimer) return
    const waitMs = lastFlushMs + BATCH_MS - monotonicMs()
    if (waitMs <= 0) return flush()
    cancelTimer = after(waitMs, () => void flush().catch(() => undefined))
  }

  return {
    write,
    say: (sentence) => write('system', Buffer.from(`${sentence}\n`)),
    async end() {
      if (known.ended) return seq
      for (const stream of ['stdout', 'stderr'] as const) {
        const tail = tails[stream]
        if (tail && tail.length > 0 && !cut) add(stream, tail)
      }
      await flush()
      seq++
      await append({ seq, chunks: [], end: true })
      return seq
    },
    written: () => written,
    known,
    async close() {
      closing.abort()
      cancelTimer?.()
      await appending.catch(() => undefined)
      await file.close()
    },
  }
}
