import { createReadStream } from 'node:fs'
import { stat, truncate } from 'node:fs/promises'
import { decode } from '#bus/codec.ts'
import { LogMessage } from '#bus/messages/log.ts'
import { lines } from '#core/lines.ts'
import { chunkBytes } from '#core/log-chunk.ts'

/** What of a stream is in a log: how many bytes, and the last of them, to tell whether a recording goes on behind them. */
export interface StreamPosition {
  bytes: number
  tail: Buffer
}

/** What a log file of an earlier run of this process holds. */
export interface RecoveredLog {
  /** The number of the last message; 0 in an empty log. */
  seq: number
  fileBytes: number
  /** Bytes of output, those of our own sentences too. */
  kept: number
  /** Whether the last message says that nothing follows. */
  ended: boolean
  positions: Record<'stdout' | 'stderr', StreamPosition>
  /** When its last output was read, milliseconds since 1970; 0 in an empty log. */
  lastAtMs: number
}

/** So many of the last bytes of a stream are enough to know them again. */
const TAIL_BYTES = 64
const MAX_LINE_BYTES = 2 ** 21

/** Reads a log file, an absent one as empty. A last line that was not written whole is cut off. */
export async function recoverLog(path: string): Promise<RecoveredLog> {
  const nothing = (): StreamPosition => ({ bytes: 0, tail: Buffer.alloc(0) })
  const found: RecoveredLog = { seq: 0, fileBytes: 0, kept: 0, ended: false, positions: { stdout: nothing(), stderr: nothing() }, lastAtMs: 0 }
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!info) return found
  for await (const line of lines(createReadStream(path), MAX_LINE_BYTES)) {
    const message = readMessage(line)
    if (!message || found.fileBytes + line.length + 1 > info.size) break
    found.fileBytes += line.length + 1
    add(found, message)
  }
  await truncate(path, found.fileBytes)
  return found
}

function readMessage(line: Buffer): LogMessage | undefined {
  try {
    return decode(LogMessage, line)
  } catch {
    return undefined
  }
}

function add(found: RecoveredLog, message: LogMessage): void {
  found.seq = message.seq
  found.ended = message.end ?? false
  for (const chunk of message.chunks) {
    const bytes = chunkBytes(chunk)
    found.kept += bytes.length
    if (chunk.stream === 'system') continue
    found.lastAtMs = Math.max(found.lastAtMs, chunk.at)
    const position = found.positions[chunk.stream]
    position.bytes += bytes.length
    position.tail = Buffer.concat([position.tail, bytes]).subarray(-TAIL_BYTES)
  }
}
