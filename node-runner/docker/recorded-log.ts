import type { Readable } from 'node:stream'
import type Docker from 'dockerode'
import type { RecoveredLog } from '../log/recover.ts'
import { demux, type FramePiece, type OutputPiece } from './demux.ts'

/** The engine splits longer lines into pieces of this size, the last one without its newline (moby, daemon/logger/copier.go). */
const ENGINE_PIECE_BYTES = 16 * 1024
/** `2026-11-23T19:25:09.312470803Z `: nine digits always. */
const TIME_BYTES = 31

/**
 * The output of a container as the engine recorded it, from the first byte until the container has ended: what a runner
 * reads that was not attached all the time. Engine 20.10 may end this just before the last entries when the container ends
 * meanwhile; read once more after that, it is whole. One unfinished line longer than 16 KiB at the very end gets a newline.
 */
export async function* recordedOutput(container: Docker.Container): AsyncGenerator<OutputPiece> {
  const stream = (await container.logs({ follow: true, stdout: true, stderr: true, timestamps: true })) as unknown as Readable
  const pieces = { stdout: createLineMender(), stderr: createLineMender() }
  try {
    for await (const entry of entries(demux(stream))) yield { stream: entry.stream, data: pieces[entry.stream].mend(entry.data) }
  } finally {
    stream.destroy()
  }
}

/** Frames of the engine's log hold one entry each, with its time in front; demux may yield one in several pieces. */
async function* entries(source: AsyncIterable<FramePiece>): AsyncGenerator<OutputPiece> {
  let parts: Buffer[] = []
  for await (const piece of source) {
    // Copied, as a frame may come in several reads.
    parts.push(Buffer.from(piece.data))
    if (piece.rest > 0) continue
    yield { stream: piece.stream, data: Buffer.concat(parts).subarray(TIME_BYTES) }
    parts = []
  }
}

/** Gives the last piece of a line that the engine split its newline back. */
export function createLineMender(): { mend(entry: Buffer): Buffer } {
  let inPieces = false
  return {
    mend(entry) {
      const unfinished = entry.at(-1) !== 10
      const isLast = inPieces && unfinished && entry.length < ENGINE_PIECE_BYTES
      inPieces = unfinished && entry.length === ENGINE_PIECE_BYTES
      return isLast ? Buffer.concat([entry, Buffer.from('\n')]) : entry
    },
  }
}

/**
 * Leaves out what is in the log already. `lost` is called when the recording does not hold the bytes before that place any
 * more (the engine keeps a bounded amount), so that something may be missing.
 */
export async function* afterPosition(source: AsyncIterable<OutputPiece>, known: RecoveredLog['positions'], lost: () => void): AsyncGenerator<OutputPiece> {
  const seen = { stdout: createSkipper(known.stdout.bytes, known.stdout.tail), stderr: createSkipper(known.stderr.bytes, known.stderr.tail) }
  for await (const { stream, data } of source) {
    const rest = seen[stream].take(data)
    if (seen[stream].mismatch()) lost()
    if (rest.length > 0) yield { stream, data: rest }
  }
}

function createSkipper(bytes: number, tail: Buffer): { take(data: Buffer): Buffer; mismatch(): boolean } {
  let left = bytes
  let last: Buffer = Buffer.alloc(0)
  let wrong = false
  return {
    take(data) {
      if (left === 0) return data
      const skipped = data.subarray(0, left)
      left -= skipped.length
      last = Buffer.concat([last, skipped]).subarray(-Math.max(1, tail.length))
      wrong = left === 0 && tail.length > 0 && !last.equals(tail)
      return data.subarray(skipped.length)
    },
    mismatch() {
      const now = wrong
      wrong = false
      return now
    },
  }
}
