import type { UploadsReply, UploadsRequest } from '#bus/messages/report.ts'
import { uploadOwner } from '#store/attempts.ts'
import { artifactKey, logKey, type Objects } from '#store/objects.ts'
import { promiseObjects } from '#store/pending-objects.ts'
import type { Db } from '#store/pool.ts'

/**
 * Answers a node that asks where to put the outputs and the log of an attempt whose lease it holds, or the log of one
 * that has ended. What may be uploaded is written down first, so that no object is ever without a row.
 */
export async function answerUploads(db: Db, objects: Objects, nodeId: string, request: UploadsRequest, urlSeconds: number): Promise<UploadsReply> {
  const owner = await uploadOwner(db, nodeId, request.attemptId, request.leaseToken)
  const bytes = request.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  // A node that asks for more than the work folder can hold is not telling the truth.
  if (!owner || bytes > owner.diskBytes || (!owner.live && request.files.length > 0)) return { status: 'stale', files: [], log: null }
  const keys = request.files.map((file) => artifactKey(owner, request.attemptId, file.path))
  const log = request.log ? logKey(owner, request.attemptId) : null
  await promiseObjects(db, request.attemptId, log === null ? keys : [...keys, log], urlSeconds)
  const files = await Promise.all(request.files.map((file, i) => objects.presignPut(keys[i] as string, file.sizeBytes, urlSeconds)))
  return { status: 'ok', files, log: log === null ? null : await objects.presignPut(log, undefined, urlSeconds) }
}
