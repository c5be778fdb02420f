import type { LogMessage } from '#bus/messages/log.ts'
import type { LogBatch } from '#core/api.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import { createLineAssembler, type LogLine } from '#core/log-lines.ts'
import type { LogPlace } from '#store/job-query.ts'
import type { TenantDeps } from '../deps.ts'
import { type LogOwner, readLog } from './read.ts'
import { type LogView, lastLines, sayMissing, viewOf } from './view.ts'

/** What is read of a log that is not followed: a part of it, or only its last lines. */
export interface LogSelection extends LogView {
  tail?: number | undefined
}

/** A longer line gets a second timestamp, so that no line has to be held whole. */
const MAX_LINE_BYTES = 2 ** 20

/** The log as NDJSON: a LogBatch a line. */
export async function* renderNdjson(deps: TenantDeps, owner: LogOwner, place: LogPlace, selection: LogSelection): AsyncGenerator<string> {
  for await (const { seq, chunks } of selected(deps, owner, place, selection)) {
    const line: LogBatch = { attempt: place.number, seq, chunks }
    yield `${JSON.stringify(line)}\n`
  }
}

/** stdout and stderr as the job wrote them, in order; what the system says only when it is asked for. */
export async function* renderText(deps: TenantDeps, owner: LogOwner, place: LogPlace, selection: LogSelection): AsyncGenerator<Buffer> {
  for await (const { chunks } of selected(deps, owner, place, selection)) for (const chunk of chunks) yield chunkBytes(chunk)
}

/** The same, line by line, each with the time at which it began in front (RFC 3339, the node's clock). */
export async function* renderTimestamped(deps: TenantDeps, owner: LogOwner, place: LogPlace, selection: LogSelection): AsyncGenerator<Buffer> {
  const lines = createLineAssembler(MAX_LINE_BYTES)
  for await (const { chunks } of selected(deps, owner, place, selection)) for (const chunk of chunks) yield* lines.push(chunk).map(withTime)
  yield* lines.rest().map(withTime)
}

function withTime({ at, bytes }: LogLine): Buffer {
  const time = Buffer.from(`${new Date(at).toISOString()} `)
  return Buffer.concat(bytes.at(-1) === 10 ? [time, bytes] : [time, bytes, Buffer.from('\n')])
}

async function* selected(deps: TenantDeps, owner: LogOwner, place: LogPlace, selection: LogSelection): AsyncGenerator<LogMessage> {
  const wanted = async function* () {
    for await (const message of sayMissing(readLog(deps, owner, place), place)) {
      const chunks = viewOf(message.chunks, selection)
      if (chunks.length > 0) yield { ...message, chunks }
    }
  }
  if (selection.tail === undefined) yield* wanted()
  else yield* await lastLines(wanted(), selection.tail)
}
