import type { LogChunk } from './api.ts'

/** The bytes of a chunk of a log, as the job wrote them. */
export function chunkBytes(chunk: LogChunk): Buffer {
  return chunk.base64 === undefined ? Buffer.from(chunk.text ?? '', 'utf8') : Buffer.from(chunk.base64, 'base64')
}
