import { isUtf8 } from 'node:buffer'
import type { LogChunk } from '#core/api.ts'

/** How many bytes at the end of `data` begin a UTF-8 character whose rest has not come yet: 0 to 3. */
export function incompleteTail(data: Buffer): number {
  for (let back = 1; back <= Math.min(3, data.length); back++) {
    const byte = data[data.length - back] as number
    if ((byte & 0b1100_0000) === 0b1000_0000) continue
    const length = byte >= 0b1111_1000 ? 1 : byte >= 0b1111_0000 ? 4 : byte >= 0b1110_0000 ? 3 : byte >= 0b1100_0000 ? 2 : 1
    return length > back ? back : 0
  }
  return 0
}

/** A chunk of the log: text where the bytes are UTF-8, else base64, so that every byte arrives as it was. */
export function toChunk(stream: LogChunk['stream'], at: number, data: Buffer): LogChunk {
  return isUtf8(data) ? { stream, at, text: data.toString('utf8') } : { stream, at, base64: data.toString('base64') }
}
