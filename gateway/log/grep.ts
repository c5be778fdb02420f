import { chunkBytes } from '#core/log-chunk.ts'
import { createLineAssembler, type LogLine } from '#core/log-lines.ts'
import type { LogMatch } from '#core/log-search-api.ts'
import { isAway } from '#core/service/away.ts'
import type { LogCandidate } from '#store/log-candidates.ts'
import type { TenantDeps } from '../deps.ts'
import { readArchive } from './read.ts'

/** What is looked for. */
export interface Needle {
  text: string
  ignoreCase: boolean
  stream?: string | undefined
}

/** What was found in one archive. `unreadable`: it could not be read to its end. */
export interface Haul {
  matches: LogMatch[]
  bytes: number
  unreadable: boolean
}

const MAX_LINE_BYTES = 2 ** 20
const MAX_SHOWN_BYTES = 4096
/** Longer than any log that a runner keeps: only a hostile node unpacks to more. */
const MAX_LOG_BYTES = 2 ** 30

/**
 * Looks through an archived log, at most to so many matches. Nodes write archives, and nodes are not trusted: what cannot be
 * read ends this log only.
 */
export async function grepArchive(
  deps: Pick<TenantDeps, 'objects'>,
  owner: { accountId: string; projectId: string },
  candidate: LogCandidate,
  needle: Needle,
  limit: number,
  signal: AbortSignal,
): Promise<Haul> {
  const haul: Haul = { matches: [], bytes: 0, unreadable: false }
  const find = createFinder(needle)
  const lines = createLineAssembler(MAX_LINE_BYTES)
  const take = (line: LogLine) => {
    const at = needle.stream === undefined || line.stream === needle.stream ? find(line.bytes) : -1
    if (at === -1 || haul.matches.length >= limit) return
    const { jobId, name, batchIndex, number } = candidate
    haul.matches.push({ jobId, name, batchIndex, attempt: number, stream: line.stream, at: line.at, line: around(line.bytes, at) })
  }
  try {
    for await (const { chunks } of readArchive(deps, { ...owner, jobId: candidate.jobId }, candidate.attemptId)) {
      signal.throwIfAborted()
      for (const chunk of chunks) {
        haul.bytes += chunkBytes(chunk).length
        for (const line of lines.push(chunk)) take(line)
      }
      if (haul.bytes > MAX_LOG_BYTES) throw new RangeError('the log is too long')
      if (haul.matches.length >= limit) return haul
    }
    for (const line of lines.rest()) take(line)
  } catch (error) {
    signal.throwIfAborted()
    if (isAway(error)) throw error
    haul.unreadable = true
  }
  return haul
}

/** Finds where in a line the text stands; -1 where it does not. */
function createFinder({ text, ignoreCase }: Needle): (line: Buffer) => number {
  if (!ignoreCase) {
    const bytes = Buffer.from(text)
    return (line) => line.indexOf(bytes)
  }
  const lower = text.toLowerCase()
  return (line) => {
    const decoded = line.toString('utf8')
    const at = decoded.toLowerCase().indexOf(lower)
    return at === -1 ? -1 : Buffer.byteLength(decoded.slice(0, at))
  }
}

/** The line as text, without its end; of a long one what is around the match, with `…` where it is cut. */
export function around(bytes: Buffer, at: number): string {
  const end = bytes.at(-1) === 10 ? bytes.length - 1 : bytes.length
  if (end <= MAX_SHOWN_BYTES) return bytes.toString('utf8', 0, end)
  const start = Math.max(0, Math.min(at - MAX_SHOWN_BYTES / 4, end - MAX_SHOWN_BYTES))
  const stop = Math.min(end, start + MAX_SHOWN_BYTES)
  return `${start > 0 ? '…' : ''}${bytes.toString('utf8', start, stop)}${stop < end ? '…' : ''}`
}
