import { Buffer } from 'node:buffer'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { decode } from '#bus/codec.ts'
import { readLogNow } from '#bus/log-tail.ts'
import { LogMessage } from '#bus/messages/log.ts'
import type { LogChunk } from '#core/api.ts'
import type { LogPlace } from '#store/job-query.ts'
import { logKey } from '#store/objects.ts'
import type { GatewayDeps } from './deps.ts'

/** Whose log it is; decides the key of the archive. */
export interface LogOwner {
  accountId: string
  projectId: string
  jobId: string
}

/** What there is of an attempt's log now, from wherever it is: the archive when there is one, else the stream. */
export async function* readLog(deps: Pick<GatewayDeps, 'bus' | 'objects'>, owner: LogOwner, place: LogPlace): AsyncGenerator<LogMessage> {
  if (place.archived) yield* readArchive(deps, owner, place.attemptId)
  else yield* readLogNow(deps.bus, place.nodeId, place.attemptId)
}

/** The archived log of an attempt (NDJSON, gzip), message by message. A node wrote it, so each line is checked. */
export async function* readArchive(deps: Pick<GatewayDeps, 'objects'>, owner: LogOwner, attemptId: string): AsyncGenerator<LogMessage> {
  const object = await deps.objects.read(logKey(owner, attemptId))
  if (!object) return
  const unzipped = object.pipe(createGunzip())
  object.on('error', (error) => unzipped.destroy(error))
  for await (const line of createInterface({ input: unzipped, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line !== '') yield decode(LogMessage, Buffer.from(line))
  }
}

/** The bytes of a chunk as the job wrote them. */
export function chunkBytes(chunk: LogChunk): Buffer {
  return chunk.base64 === undefined ? Buffer.from(chunk.text ?? '', 'utf8') : Buffer.from(chunk.base64, 'base64')
}
