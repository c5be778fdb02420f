import type { Readable } from 'node:stream'
import type Docker from 'dockerode'
import type { RecoveredLog, StreamPosition } from '../log/recover.ts'
import { demux, type FramePiece, type OutputPiece } from './demux.ts'

/** The engine splits longer lines into pieces of this size, the last one without its newline (moby, daemon/logger/copier.go). */
const ENGINE_PIECE_BYTES = 16 * 1024
/** `2026-11-23T19:25:09.312470803Z `: nine digits always. */
const TIME_BYTES = 31
const MILLISECONDS_END = 23

/** A piece of output with the time at which the engine took it, milliseconds since 1970. */
export interface RecordedPiece extends OutputPiece {
  atMs: number
}

/** What was taken so long after the last output of the log cannot be in it. */
const SLACK_MS = 1000

/**
 * The output of a container as the engine recorded it, from the first byte until the container has ended: what a runner
 * reads that was not attached all the time. Engine 20.10 may end this just before the last entries when the container ends
 * meanwhile; read once more after that, it is whole. One unfinished line longer than 16 KiB at the very end gets a newline.
 */
export async function* recordedOutput(container: Docker.Container): AsyncGenerator<RecordedPiece> {
  const stream = (await container.logs({ follow: true, stdout: true, stderr: true, timestamps: true })) as unknown as Readable
  const pieces = { stdout: createLineMender(), stderr: createLineMender() }
  try {
    for await (const entry of entries(demux(stream))) yield { ...entry, data: pieces[entry.stream].mend(entry.data) }
  } finally {
    stream.destroy()
  }
}

/** Frames of the engine's log hold one entry each, with its time in front; demux may yield one in several pieces. */
async function* entries(source: AsyncIterable<FramePiece>): AsyncGenerator<RecordedPiece> {
  let parts: Buffer[] = []
  for await (const piece of source) {
    // Copied, as a frame may come in several reads.
    parts.push(Buffer.from(piece.data))
    if (piece.rest > 0) continue
    const entry = Buffer.concat(parts)
    const atMs = Date.parse(`${entry.toString('latin1', 0, MILLISECONDS_END)}Z`)
    yield { stream: piece.stream, data: entry.subarray(TIME_BYTES), atMs }
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
 * Leaves out what is in the log already. `lost` is called when something may be missing: the engine keeps a bounded amount,
 * and does not hold the bytes before that place any more.
 */
export async function* afterPosition(
  source: AsyncIterable<RecordedPiece>,
  known: Pick<RecoveredLog, 'positions' | 'lastAtMs'>,
  lost: () => void,
): AsyncGenerator<OutputPiece> {
  const skippers = { stdout: createSkipper(known.positions.stdout, known.lastAtMs), stderr: createSkipper(known.positions.stderr, known.lastAtMs) }
  for await (const { stream, data, atMs } of source) {
    const { rest, gap } = skippers[stream](data, atMs)
    if (gap) lost()
    if (rest.length > 0) yield { stream, data: rest }
  }
}

/** Skips so many bytes. Ends skipping early, with a gap, at what is too new to be known; a gap is also when other bytes were skipped than are known. */
function createSkipper(position: StreamPosition, lastAtMs: number): (data: Buffer, atMs: number) => { rest: Buffer; gap: boolean } {
  let left = position.bytes
  let last: Buffer = Buffer.alloc(0)
  return (data, atMs) => {
    if (left === 0) return { rest: data, gap: false }
    const skipped = data.subarray(0, left)
    last = Buffer.concat([last, skipped]).subarray(-Math.max(1, position.tail.length))
    const isKnown = last.equals(position.tail)
    // The engine gives a line the time of its end: what is known may be the beginning of one that ended long after.
    if (atMs > lastAtMs + SLACK_MS && !(isKnown && skipped.length === left)) {
      left = 0
      return { rest: data, gap: true }
    }
    left -= skipped.length
    const gap = left === 0 && position.tail.length > 0 && !isKnown
    return { rest: data.subarray(skipped.length), gap }
  }
}
