import type { LogChunk } from '#core/api.ts'
import type { Listener } from './follow.ts'

/** The same listener, with the time in front of each line of the output (RFC 3339, the node's clock). */
export function withTimestamps(listener: Listener): Listener {
  const stamp = createStamper()
  return { ...listener, chunk: (chunk) => listener.chunk(stamp(chunk)) }
}

/** Puts the time before each line, also of one that comes in pieces; the streams are told apart. */
export function createStamper(): (chunk: LogChunk) => LogChunk {
  const atLineStart = { stdout: true, stderr: true, system: true }
  return (chunk) => {
    const binary = chunk.base64 !== undefined
    // Latin-1 holds every byte as one character.
    const text = binary ? Buffer.from(chunk.base64 ?? '', 'base64').toString('latin1') : (chunk.text ?? '')
    if (text === '') return chunk
    const time = `${new Date(chunk.at).toISOString()} `
    const stamped = `${atLineStart[chunk.stream] ? time : ''}${text.replaceAll(/\n(?=[\s\S])/g, `\n${time}`)}`
    atLineStart[chunk.stream] = text.endsWith('\n')
    const { stream, at } = chunk
    return binary ? { stream, at, base64: Buffer.from(stamped, 'latin1').toString('base64') } : { stream, at, text: stamped }
  }
}
