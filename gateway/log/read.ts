import { createGunzip } from 'node:zlib'
import { decode } from '#bus/codec.ts'
import { readLogNow } from '#bus/log-tail.ts'
import { LogMessage } from '#bus/messages/log.ts'
import { RGridError } from '#core/errors.ts'
import { lines } from '#core/lines.ts'
import { DeadlineError } from '#core/service/time.ts'
import { type LogPlace, readLogPlaces } from '#store/job-query.ts'
import { logKey } from '#store/objects.ts'
import type { TenantDeps } from '../deps.ts'

/** Whose log it is; decides the key of the archive. */
export interface LogOwner {
  accountId: string
  projectId: string
  jobId: string
}

/** Twice what fits a message on the bus. An archive is written by a node, and a few bytes of gzip may hold a line of gigabytes. */
const MAX_LINE_BYTES = 2 * 2 ** 20

/** Stands behind the last message of a log that has ended, so that it shows when that one is missing. */
export function endOf(place: LogPlace): LogMessage[] {
  return place.logSeq === null ? [] : [{ seq: place.logSeq + 1, chunks: [] }]
}

/** What there is of an attempt's log now, from wherever it is: the archive when there is one, else the stream. */
export async function* readLog(deps: Pick<TenantDeps, 'bus' | 'objects' | 'db'>, owner: LogOwner, place: LogPlace): AsyncGenerator<LogMessage> {
  if (place.expired) throw new RGridError('gone', `the log of attempt ${place.attemptId} is no longer kept: it is past the retention of logs of this project`)
  if (place.archived) return yield* readArchive(deps, owner, place.attemptId)
  let seq = 0
  try {
    for await (const message of readLogNow(deps.bus, place.nodeId, place.attemptId)) {
      seq = message.seq
      yield message
    }
    yield* endOf(place)
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error
    // A reader so slow that the live copy went meanwhile goes on out of the archive.
    const [now] = await readLogPlaces(deps.db, owner.jobId, place.number)
    if (!now?.archived) throw error
    for await (const message of readArchive(deps, owner, place.attemptId)) if (message.seq > seq) yield message
  }
}

/** The archived log of an attempt (NDJSON, gzip), message by message. Throws `gone` when it is no longer kept. */
export async function* readArchive(deps: Pick<TenantDeps, 'objects'>, owner: LogOwner, attemptId: string): AsyncGenerator<LogMessage> {
  const object = await deps.objects.read(logKey(owner, attemptId))
  if (!object) throw new RGridError('gone', `the log of attempt ${attemptId} is no longer kept`)
  const unzipped = object.pipe(createGunzip())
  object.on('error', (error) => unzipped.destroy(error))
  try {
    for await (const line of lines(unzipped, MAX_LINE_BYTES)) yield decode(LogMessage, line)
  } finally {
    object.destroy()
    unzipped.destroy()
  }
}
