import type { AssignedInput, Assignment } from '#bus/messages/claim.ts'
import type { Sealer } from '#core/sealer.ts'
import type { Log } from '#core/service/log.ts'
import { parseTraceContext } from '#core/service/trace-context.ts'
import type { ClaimedJob } from '#store/claims.ts'
import type { Objects } from '#store/objects.ts'
import type { Db } from '#store/pool.ts'
import { fileObjects } from '#store/presence.ts'
import { openSecrets } from './secrets.ts'

/** What building assignments needs. */
export interface AssignmentDeps {
  db: Db
  objects: Objects
  sealer: Pick<Sealer, 'open'>
  log: Log
  /** How long the addresses of inputs are good. */
  urlSeconds: number
}

/** A message of the bus holds 1 MB (infra/nats/nats-server.conf). */
const MAX_REPLY_BYTES = 1_000_000

/** Turns claimed jobs into what their node is sent: the spec, for each input an address to fetch it from, and its secrets. */
export async function buildAssignments({ db, objects, sealer, log, urlSeconds }: AssignmentDeps, jobs: readonly ClaimedJob[]): Promise<Assignment[]> {
  const fileIds = jobs.flatMap((job) => job.spec.inputs.flatMap((input) => input.file ?? []))
  const [files, secrets] = await Promise.all([fileObjects(db, [...new Set(fileIds)]), openSecrets(db, sealer, jobs, log)])
  const built = await Promise.all(
    jobs.map(async (claimed): Promise<Assignment> => {
      const inputs = await Promise.all(
        claimed.spec.inputs.map(async (input): Promise<AssignedInput> => {
          const common = { path: input.path, executable: input.executable ?? false }
          if (input.url !== undefined) return { ...common, url: input.url, trusted: false, sha256: input.sha256 ?? null, sizeBytes: null }
          const file = files.get(input.file ?? '')
          // A file that has gone since the submit: the node's 404 becomes an `input` failure that names the path.
          const url = await objects.presignGet(file?.key ?? `missing/${input.file}`, urlSeconds)
          return { ...common, url, trusted: true, sha256: file?.sha256 ?? null, sizeBytes: file?.sizeBytes ?? null }
        }),
      )
      const { attemptId, attemptNumber, leaseToken, jobId, project, batchId, batchIndex, batchSize } = claimed
      // An address may be a credential, and a node has no need of it.
      const spec = { ...claimed.spec, webhook: null }
      const { traceparent = null, tracestate = null } = parseTraceContext(claimed.traceContext) ?? {}
      const job = { attemptId, attemptNumber, leaseToken, jobId, project, batchId, batchIndex, batchSize, spec, inputs, traceparent, tracestate }
      const delivered = secrets.get(attemptId)
      return delivered ? { ...job, secrets: delivered } : job
    }),
  )
  return fitReply(built, MAX_REPLY_BYTES)
}

/**
 * As many as one message holds. The others are taken back when the node asks about its leases without naming them, and
 * claimed again; one that does not fit by itself would never arrive, so it goes without what is large, and fails.
 */
export function fitReply(assignments: readonly Assignment[], maxBytes: number): Assignment[] {
  let left = maxBytes
  return assignments.flatMap((whole) => {
    const bytes = sizeOf(whole)
    const assignment = bytes > maxBytes ? withoutBulk(whole, bytes, maxBytes) : whole
    const size = assignment === whole ? bytes : sizeOf(assignment)
    if (size > left) return []
    left -= size
    return [assignment]
  })
}

function sizeOf(assignment: Assignment): number {
  return Buffer.byteLength(JSON.stringify(assignment)) + 1
}

function withoutBulk(assignment: Assignment, bytes: number, maxBytes: number): Assignment {
  const message = `spec: code, requirements, env, args and inputs are ${bytes} bytes as a node is sent them; at most ${maxBytes} fit, put larger data into a file`
  const spec = { ...assignment.spec, code: null, requirements: null, command: null, args: [], env: {}, secretEnv: {}, inputs: [], outputs: [], maskEnv: null }
  return { ...assignment, spec, inputs: [], secrets: { env: {}, registry: null, fault: { message, transient: false } } }
}
