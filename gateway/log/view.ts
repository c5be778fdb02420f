import type { LogMessage } from '#bus/messages/log.ts'
import type { LogChunk } from '#core/api.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import type { LogPlace } from '#store/job-query.ts'

/** One stream, or `output`: what the job wrote, stdout and stderr. */
export type LogStreamChoice = LogChunk['stream'] | 'output'

/** What of a log a reader wants to see; absent: everything. */
export interface LogView {
  stream?: LogStreamChoice | undefined
  /** Only what was written from this time on, milliseconds since 1970 by the node's clock. */
  sinceMs?: number | undefined
}

/** What a reader is told where a part is missing, when its node may archive the log yet, and when it will not. */
export const MISSING_PART = 'a part of the log is missing here; the whole of it can be read once its node has archived it\n'
/** See MISSING_PART. */
export const LOST_PART = 'a part of the log is missing here for good: its node was lost, or has gone, before the log was archived\n'

/** Stands where messages are missing: the live copy was full, or an attempt was lost on the way. */
export function missingPart(at: number, place: Pick<LogPlace, 'awaited'>): LogChunk {
  return { stream: 'system', at, text: place.awaited ? MISSING_PART : LOST_PART }
}

/** The messages of a log from its first one on, each that comes behind missing ones with that said in front. */
export async function* sayMissing(messages: AsyncIterable<LogMessage>, place: LogPlace): AsyncGenerator<LogMessage> {
  let seq = 0
  for await (const message of messages) {
    const missing = message.seq > seq + 1 ? [missingPart(message.chunks[0]?.at ?? 0, place)] : []
    seq = message.seq
    // What stands behind the last message has no number of its own.
    const number = message.chunks.length === 0 ? Math.min(seq, place.logSeq ?? seq) : seq
    yield { ...message, seq: number, chunks: [...missing, ...message.chunks] }
  }
}

const NEWLINE = 10
/** The last lines are held in memory; of longer ones there are fewer. */
const MAX_TAIL_BYTES = 16 * 2 ** 20

/** Those pieces of a message that are wanted. */
export function viewOf(chunks: readonly LogChunk[], view: LogView): LogChunk[] {
  return chunks.filter((chunk) => isWanted(chunk, view.stream) && chunk.at >= (view.sinceMs ?? 0))
}

function isWanted(chunk: LogChunk, stream: LogStreamChoice | undefined): boolean {
  if (stream === undefined) return true
  return stream === 'output' ? chunk.stream !== 'system' : chunk.stream === stream
}

/** The last `count` lines of a log, an unfinished one at the end too, in the messages that hold them; at most 16 MiB. */
export async function lastLines(messages: AsyncIterable<LogMessage>, count: number): Promise<LogMessage[]> {
  const held: { message: LogMessage; ends: number; bytes: number }[] = []
  let ends = 0
  let bytes = 0
  let unfinished = 0
  for await (const message of messages) {
    if (message.chunks.length === 0) continue
    const entry = { message, ends: 0, bytes: 0 }
    for (const chunk of message.chunks) {
      const data = chunkBytes(chunk)
      entry.ends += countNewlines(data)
      entry.bytes += data.length
      if (data.length > 0) unfinished = data.at(-1) === NEWLINE ? 0 : 1
    }
    held.push(entry)
    ends += entry.ends
    bytes += entry.bytes
    // The newline before the first of the lines is held too: it says where that begins.
    for (let first = held[0]; first && held.length > 1 && (ends - first.ends > count || bytes > MAX_TAIL_BYTES); first = held[0]) {
      held.shift()
      ends -= first.ends
      bytes -= first.bytes
    }
  }
  return withoutLines(
    held.map((entry) => entry.message),
    count === 0 ? Number.POSITIVE_INFINITY : ends + unfinished - count,
  )
}

/** The messages without their first lines. */
function withoutLines(messages: readonly LogMessage[], lines: number): LogMessage[] {
  let left = Math.max(0, lines)
  return messages.flatMap((message) => {
    const chunks = message.chunks.flatMap((chunk) => {
      if (left === 0) return [chunk]
      const data = chunkBytes(chunk)
      let start = 0
      for (; left > 0; left--) {
        const end = data.indexOf(NEWLINE, start)
        if (end === -1) return []
        start = end + 1
      }
      return start === data.length ? [] : [cutChunk(chunk, data.subarray(start))]
    })
    return chunks.length > 0 ? [{ ...message, chunks }] : []
  })
}

function cutChunk(chunk: LogChunk, data: Buffer): LogChunk {
  const { stream, at } = chunk
  return chunk.base64 === undefined ? { stream, at, text: data.toString('utf8') } : { stream, at, base64: data.toString('base64') }
}

function countNewlines(data: Buffer): number {
  let count = 0
  for (let at = data.indexOf(NEWLINE); at !== -1; at = data.indexOf(NEWLINE, at + 1)) count++
  return count
}
