import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { MAX_BATCH_ITEMS } from '#core/batch.ts'
import { errorText, type Issue, RGridError, validationError } from '#core/errors.ts'
import { MAX_ISSUES, type ValidJob } from '#core/job/validate.ts'
import { type BatchReader, readBatchHead, type ValidHead } from '#core/job/validate-batch.ts'
import { lines } from '#core/lines.ts'
import type { RuntimeTable } from '#core/runtimes.ts'
import { openSpool } from './spool.ts'

const MAX_BYTES = 512 * 2 ** 20
const MAX_LINE_BYTES = 2 ** 20
/** Jobs that are checked against the database together. */
const CHUNK = 1000

/** A batch that has come in whole and has no fault that can be seen without the database. */
export interface ReceivedBatch {
  head: ValidHead
  size: number
  /** What tells this content from any other. */
  digest: string
  /** Its jobs in the order of their lines, made anew each time. */
  jobs(): AsyncIterable<ValidJob>
  close(): Promise<void>
}

/** Looks at some jobs against the database and adds what is wrong; `lineOf` is the number of a job's line. */
export type CheckJobs = (jobs: readonly ValidJob[], head: ValidHead, lineOf: (job: number) => number) => Promise<Issue[]>

/**
 * Takes a batch as NDJSON: its head (a Batch document without items) on the first line, an item on each further one.
 * However many there are, one line is in memory; the lines wait on disk until the last one has come and all are found
 * right, so that the transaction which stores them waits for no client. Throws a `validation` error that names each
 * faulty line by its number, the first being 1.
 */
export async function receiveBatch(body: Readable, runtimes: RuntimeTable, check: CheckJobs): Promise<ReceivedBatch> {
  const spool = await openSpool(MAX_LINE_BYTES)
  const hash = createHash('sha256')
  const issues: Issue[] = []
  let reader: BatchReader | undefined
  let size = 0
  let number = 0
  let chunk: { job: ValidJob; line: number }[] = []

  async function checkChunk(head: ValidHead): Promise<void> {
    const at = chunk
    chunk = []
    const found = await check(
      at.map(({ job }) => job),
      head,
      (job) => at[job]?.line ?? 0,
    )
    issues.push(...found)
  }

  try {
    for await (const bytes of bounded(lines(measured(body, hash), MAX_LINE_BYTES), () => number)) {
      number++
      const line = bytes.toString('utf8').trim()
      if (line === '') continue
      const value = parse(line, number, issues)
      if (value !== undefined && !reader) reader = head(value.json, runtimes)
      else if (value !== undefined && reader) {
        const job = reader.read(value.json, `lines.${number}`, issues)
        if (job) chunk.push({ job, line: number })
        size++
        await spool.write(line)
      }
      if (!reader || issues.length >= MAX_ISSUES) break
      if (size > MAX_BATCH_ITEMS) throw validationError([{ path: `lines.${number}`, message: `a batch has at most ${MAX_BATCH_ITEMS} items` }])
      if (chunk.length === CHUNK) await checkChunk(reader.head)
    }
    if (reader && chunk.length > 0) await checkChunk(reader.head)
    if (issues.length > 0) throw validationError(issues.slice(0, MAX_ISSUES))
    if (!reader || size === 0)
      throw validationError([{ path: 'lines', message: 'the first line is the batch without items, each further one an item; there must be one' }])
  } catch (error) {
    await spool.close()
    throw error
  }
  const { head: common, read } = reader
  return {
    head: common,
    size,
    digest: hash.digest('hex'),
    async *jobs() {
      for await (const line of spool.lines()) {
        const job = read(JSON.parse(line), '', [])
        if (!job) throw new Error('a line that was right is not any more')
        yield job
      }
    },
    close: () => spool.close(),
  }
}

function head(value: unknown, runtimes: RuntimeTable): BatchReader {
  try {
    return readBatchHead(value, runtimes)
  } catch (error) {
    if (!(error instanceof RGridError)) throw error
    throw validationError(error.issues.map(({ path, message }) => ({ path: `lines.1.${path}`, message })))
  }
}

function parse(line: string, number: number, issues: Issue[]): { json: unknown } | undefined {
  try {
    return { json: JSON.parse(line) }
  } catch (error) {
    issues.push({ path: `lines.${number}`, message: `is not JSON: ${errorText(error)}` })
    return undefined
  }
}

async function* measured(body: Readable, hash: { update(part: Uint8Array): unknown }): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length
    if (bytes > MAX_BYTES) throw new RGridError('too_large', `a batch has at most ${MAX_BYTES / 2 ** 20} MiB`)
    hash.update(part)
    yield part
  }
}

async function* bounded(source: AsyncIterable<Buffer>, number: () => number): AsyncGenerator<Buffer> {
  try {
    yield* source
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw validationError([{ path: `lines.${number() + 1}`, message: error.message }])
  }
}
