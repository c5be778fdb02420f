import { MASK } from '#core/job/secret-values.ts'
import type { OutputPiece } from '../docker/demux.ts'

/** Takes secrets out of a stream of bytes that comes in pieces. */
export interface Masker {
  /** What may be shown now; the bytes at the end that may begin a secret wait. The same buffer when there is nothing to do. */
  push(data: Buffer): Buffer
  /** What waited, when nothing more comes. */
  flush(): Buffer
}

/**
 * Puts `***` in the place of each secret, the leftmost first and of several at one place the longest. What comes out does
 * not depend on how the stream was cut, so that an output that is read again is masked in the same way.
 */
export function createMasker(secrets: readonly string[]): Masker {
  const patterns = secrets.map((secret) => createPattern(Buffer.from(secret)))
  const mask = Buffer.from(MASK)
  let held: Buffer = Buffer.alloc(0)

  function run(data: Buffer, isEnd: boolean): Buffer {
    const parts: Buffer[] = []
    const found = patterns.map((pattern) => data.indexOf(pattern.bytes))
    const openFrom = (from: number) => (isEnd ? data.length : Math.min(data.length, ...patterns.map((pattern) => pattern.beginsAt(data, from))))
    let start = 0
    let open = openFrom(0)
    for (;;) {
      if (open < start) open = openFrom(start)
      let at = data.length
      let length = 0
      for (const [i, pattern] of patterns.entries()) {
        let next = found[i] as number
        if (next !== -1 && next < start) next = found[i] = data.indexOf(pattern.bytes, start)
        if (next === -1 || next > at || (next === at && pattern.bytes.length <= length)) continue
        at = next
        length = pattern.bytes.length
      }
      // What begins here or before may yet be a longer one.
      if (length === 0 || at >= open) {
        held = Buffer.from(data.subarray(open))
        if (parts.length === 0 && start === 0) return open === data.length ? data : data.subarray(0, open)
        return Buffer.concat([...parts, data.subarray(start, open)])
      }
      parts.push(data.subarray(start, at), mask)
      start = at + length
    }
  }

  return {
    push(data) {
      if (patterns.length === 0) return data
      return run(held.length > 0 ? Buffer.concat([held, data]) : data, false)
    },
    flush() {
      const rest = held
      held = Buffer.alloc(0)
      return rest.length === 0 ? rest : run(rest, true)
    },
  }
}

/** A secret to look for (Knuth, Morris, Pratt: https://doi.org/10.1137/0206024). */
function createPattern(bytes: Buffer) {
  // For each length of a match: how much of it is a match too, if the next byte does not fit.
  const fallback = new Int32Array(bytes.length + 1)
  for (let i = 1, length = 0; i < bytes.length; i++) {
    while (length > 0 && bytes[i] !== bytes[length]) length = fallback[length] as number
    if (bytes[i] === bytes[length]) length++
    fallback[i + 1] = length
  }
  return {
    bytes,
    /** Where at the end of the data, behind `start`, the secret may begin; the length of the data when nowhere. */
    beginsAt(data: Buffer, start: number): number {
      let length = 0
      for (let i = Math.max(start, data.length - bytes.length + 1); i < data.length; i++) {
        while (length > 0 && data[i] !== bytes[length]) length = fallback[length] as number
        if (data[i] === bytes[length]) length++
      }
      return data.length - length
    },
  }
}

/**
 * The pieces of an output without secrets; the streams are told apart. Where the output may be cut off and will be read once
 * more, `isWhole` is false: what may begin a secret at its end is then left to that reading.
 */
export async function* masked<P extends OutputPiece>(source: AsyncIterable<P>, secrets: readonly string[], isWhole = true): AsyncGenerator<P> {
  const maskers = { stdout: createMasker(secrets), stderr: createMasker(secrets) }
  const last = new Map<P['stream'], P>()
  for await (const piece of source) {
    last.set(piece.stream, piece)
    const data = maskers[piece.stream].push(piece.data)
    if (data.length > 0) yield data === piece.data ? piece : { ...piece, data }
  }
  if (!isWhole) return
  for (const piece of last.values()) {
    const data = maskers[piece.stream].flush()
    if (data.length > 0) yield { ...piece, data }
  }
}

/** A sentence without secrets. */
export function maskText(text: string, secrets: readonly string[]): string {
  return secrets.reduce((masked, secret) => masked.replaceAll(secret, MASK), text)
}
