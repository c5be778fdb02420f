import { gzipSync } from 'node:zlib'
import type { Bus } from '#bus/bus.ts'
import { encode } from '#bus/codec.ts'
import { LogMessage } from '#bus/messages/log.ts'
import { logSubject } from '#bus/subjects.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { logKey, type Objects } from '#store/objects.ts'

/** A message of one line on stdout. */
export function line(seq: number, text = `line ${seq}\n`): LogMessage {
  return { seq, chunks: [{ stream: 'stdout', at: 1_700_000_000_000 + seq, text }] }
}

/** The message that ends the log of an attempt. */
export function end(seq: number): LogMessage {
  return { seq, chunks: [], end: true }
}

/** Publishes messages of an attempt's log as its node does, and waits until they are stored. */
export async function publishLog(bus: Bus, job: Pick<ClaimedJob, 'nodeId' | 'attemptId'>, messages: readonly LogMessage[]): Promise<void> {
  await Promise.all(messages.map((message) => bus.jetstream.publish(logSubject(job.nodeId, job.attemptId), encode(LogMessage, message))))
}

/** Puts an attempt's archived log into the object store as its node does. */
export async function archiveLog(
  objects: Objects,
  owner: { accountId: string; projectId: string },
  job: Pick<ClaimedJob, 'jobId' | 'attemptId'>,
  messages: readonly LogMessage[],
): Promise<void> {
  const body = gzipSync(messages.map((message) => `${JSON.stringify(message)}\n`).join(''))
  const { url, headers } = await objects.presignPut(logKey({ ...owner, jobId: job.jobId }, job.attemptId), body.length, 60)
  const response = await fetch(url, { method: 'PUT', headers, body })
  if (!response.ok) throw new Error(`the archive was refused: ${response.status}`)
}
