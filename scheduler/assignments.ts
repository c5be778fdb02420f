import type { AssignedInput, Assignment } from '#bus/messages/claim.ts'
import { parseTraceContext } from '#core/service/trace-context.ts'
import type { ClaimedJob } from '#store/claims.ts'
import type { Objects } from '#store/objects.ts'
import type { Db } from '#store/pool.ts'
import { fileObjects } from '#store/presence.ts'

/** Turns claimed jobs into what their node is sent: the spec, and for each input an address to fetch it from. */
export async function buildAssignments(db: Db, objects: Objects, jobs: readonly ClaimedJob[], urlSeconds: number): Promise<Assignment[]> {
  const fileIds = jobs.flatMap((job) => job.spec.inputs.flatMap((input) => input.file ?? []))
  const files = await fileObjects(db, [...new Set(fileIds)])
  return Promise.all(
    jobs.map(async (job): Promise<Assignment> => {
      const inputs = await Promise.all(
        job.spec.inputs.map(async (input): Promise<AssignedInput> => {
          const common = { path: input.path, executable: input.executable ?? false }
          if (input.url !== undefined) return { ...common, url: input.url, trusted: false, sha256: input.sha256 ?? null, sizeBytes: null }
          const file = files.get(input.file ?? '')
          // A file that has gone since the submit: the node's 404 becomes an `input` failure that names the path.
          const url = await objects.presignGet(file?.key ?? `missing/${input.file}`, urlSeconds)
          return { ...common, url, trusted: true, sha256: file?.sha256 ?? null, sizeBytes: file?.sizeBytes ?? null }
        }),
      )
      const { attemptId, attemptNumber, leaseToken, jobId, project, batchId, batchIndex, batchSize } = job
      // An address may be a credential, and a node has no need of it.
      const spec = { ...job.spec, webhook: null }
      const { traceparent = null, tracestate = null } = parseTraceContext(job.traceContext) ?? {}
      return { attemptId, attemptNumber, leaseToken, jobId, project, batchId, batchIndex, batchSize, spec, inputs, traceparent, tracestate }
    }),
  )
}
