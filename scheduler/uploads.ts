import type { UploadsReply, UploadsRequest } from '#bus/messages/report.ts'
import { leaseOwner } from '#store/attempts.ts'
import { artifactKey, logKey, type Objects } from '#store/objects.ts'
import type { Db } from '#store/pool.ts'

/** Answers a node that asks where to put the outputs and the log of an attempt whose lease it holds. */
export async function answerUploads(db: Db, objects: Objects, nodeId: string, request: UploadsRequest, urlSeconds: number): Promise<UploadsReply> {
  const owner = await leaseOwner(db, nodeId, request.attemptId, request.leaseToken)
  const bytes = request.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  // A node that asks for more than the work folder can hold is not telling the truth.
  if (!owner || bytes > owner.diskBytes) return { status: 'stale', files: [], log: null }
  const files = await Promise.all(request.files.map((file) => objects.presignPut(artifactKey(owner, request.attemptId, file.path), file.sizeBytes, urlSeconds)))
  return { status: 'ok', files, log: request.log ? await objects.presignPut(logKey(owner, request.attemptId), undefined, urlSeconds) : null }
}
