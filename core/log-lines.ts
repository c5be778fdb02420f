import type { LogChunk } from './api.ts'
import { chunkBytes } from './log-chunk.ts'

/** A line of a log, with its newline when it has one; `at` is when its first byte was written. */
export interface LogLine {
  stream: LogChunk['stream']
  at: number
  bytes: Buffer
}

/** Puts the lines of a log together out of its chunks, those of each stream by themselves. */
export interface LineAssembler {
  /** The lines that end in this chunk. */
  push(chunk: LogChunk): LogLine[]
  /** The unfinished last lines. */
  rest(): LogLine[]
}

/** A line longer than `maxBytes` is given out in pieces of that length. */
export function createLineAssembler(maxBytes: number): LineAssembler {
  const open = new Map<LogChunk['stream'], { at: number; parts: Buffer[]; bytes: number }>()
  return {
    push(chunk) {
      const { stream } = chunk
      const data = chunkBytes(chunk)
      const lines: LogLine[] = []
      for (let start = 0; start < data.length; ) {
        const begun = open.get(stream) ?? { at: chunk.at, parts: [], bytes: 0 }
        const newline = data.indexOf(10, start)
        const end = Math.min(newline === -1 ? data.length : newline + 1, start + maxBytes - begun.bytes)
        begun.parts.push(data.subarray(start, end))
        begun.bytes += end - start
        const whole = end === newline + 1 || begun.bytes >= maxBytes
        if (whole) lines.push({ stream, at: begun.at, bytes: Buffer.concat(begun.parts) })
        if (whole) open.delete(stream)
        else open.set(stream, begun)
        start = end
      }
      return lines
    },
    rest() {
      const lines = [...open].map(([stream, { at, parts }]) => ({ stream, at, bytes: Buffer.concat(parts) }))
      open.clear()
      return lines
    },
  }
}
