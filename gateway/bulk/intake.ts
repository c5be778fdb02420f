import { MAX_BATCH_ITEMS } from '#core/batch.ts'
import { type Issue, validationError } from '#core/errors.ts'
import { MAX_ISSUES, type ValidJob } from '#core/job/validate.ts'
import type { BatchReader, ValidHead } from '#core/job/validate-batch.ts'

/** Jobs that are checked against the database together: so many, or items of so many bytes. */
const CHUNK = 1000
const CHUNK_BYTES = 2 ** 20

/** A batch that has come in whole and has no fault that can be seen without storing it. */
export interface ReceivedBatch {
  head: ValidHead
  size: number
  /** What tells this content from any other. */
  digest: string
  /** Its jobs in the order of their items, made anew each time. */
  jobs(): AsyncIterable<ValidJob>
}

/** Looks at some jobs against the database and resolves with what is wrong; `at` is where the item of a job stands. */
export type CheckJobs = (jobs: readonly ValidJob[], head: ValidHead, at: (job: number) => string) => Promise<Issue[]>

/** What a batch is received with. */
export interface IntakeDeps {
  check: CheckJobs
  /** Called between items: waits when they have taken the process for long enough. */
  slice(): Promise<void>
}

/** Takes the items of a batch one by one. */
export interface Intake {
  /** Checks an item that stands at `at` and is `bytes` long; false: there are so many faults that no further one is looked at. */
  take(item: unknown, at: string, bytes: number): Promise<boolean>
  /** Adds the fault of something that is no item; the same. */
  fault(issue: Issue): boolean
  /** Checks what is left, and resolves with how many items there were. Throws a `validation` error that names each fault. */
  end(): Promise<number>
}

/** See the interface. Throws a `validation` error when there are too many items. */
export function createIntake(reader: BatchReader, { check, slice }: IntakeDeps): Intake {
  const issues: Issue[] = []
  let size = 0
  let chunk: { job: ValidJob; at: string }[] = []
  let chunkBytes = 0

  async function checkChunk(): Promise<void> {
    const checked = chunk
    chunk = []
    chunkBytes = 0
    const found = await check(
      checked.map(({ job }) => job),
      reader.head,
      (job) => checked[job]?.at ?? '',
    )
    issues.push(...found)
  }

  return {
    async take(item, at, bytes) {
      await slice()
      if (++size > MAX_BATCH_ITEMS) throw validationError([{ path: at, message: `a batch has at most ${MAX_BATCH_ITEMS} items` }])
      const job = reader.read(item, at, issues)
      if (job) chunk.push({ job, at })
      chunkBytes += bytes
      if (chunk.length === CHUNK || chunkBytes > CHUNK_BYTES) await checkChunk()
      return issues.length < MAX_ISSUES
    },
    fault(issue) {
      issues.push(issue)
      return issues.length < MAX_ISSUES
    },
    async end() {
      if (chunk.length > 0) await checkChunk()
      if (issues.length > 0) throw validationError(issues.slice(0, MAX_ISSUES))
      return size
    },
  }
}
