import { createHash } from 'node:crypto'
import { errorText, type Issue, RGridError, validationError } from '#core/errors.ts'
import { type BatchReader, readBatchHead } from '#core/job/validate-batch.ts'
import { lines } from '#core/lines.ts'
import type { RuntimeTable } from '#core/runtimes.ts'
import { createIntake, type Intake, type IntakeDeps, type ReceivedBatch } from './intake.ts'
import { openSpool } from './spool.ts'

const MAX_BYTES = 512 * 2 ** 20
const MAX_LINE_BYTES = 2 ** 20

/** What taking lines needs besides. */
export interface LinesDeps extends IntakeDeps {
  /** The folder in which they wait. */
  spoolDir: string
}

/** The same, with what holds its lines; close it. */
export interface SpooledBatch extends ReceivedBatch {
  close(): Promise<void>
}

/**
 * Takes a batch as NDJSON: its head (a Batch document without items) on the first line, an item on each further one.
 * However many there are, a few are in memory; the lines wait on disk until the last one has come and all are found
 * right, so that the transaction which stores them waits for no client. Throws a `validation` error that names each
 * faulty line by its number, the first being 1.
 */
export async function receiveLines(body: AsyncIterable<Buffer>, runtimes: RuntimeTable, deps: LinesDeps): Promise<SpooledBatch> {
  const spool = openSpool(deps.spoolDir, MAX_LINE_BYTES)
  const hash = createHash('sha256')
  let batch: { reader: BatchReader; intake: Intake } | undefined
  let number = 0
  try {
    for await (const bytes of bounded(lines(measured(body, hash), MAX_LINE_BYTES), () => number)) {
      number++
      const line = bytes.toString('utf8').trim()
      if (line === '') continue
      if (!batch) {
        const reader = readHead(line, number, runtimes)
        batch = { reader, intake: createIntake(reader, deps) }
        continue
      }
      if (!(await takeLine(batch.intake, line, number))) break
      await spool.write(line)
    }
    const size = (await batch?.intake.end()) ?? 0
    if (!batch || size === 0)
      throw validationError([{ path: 'lines', message: 'the first line is the batch without items, each further one an item; there must be one' }])
    const { reader } = batch
    return {
      head: reader.head,
      size,
      digest: hash.digest('hex'),
      async *jobs() {
        for await (const line of spool.lines()) yield reader.again(JSON.parse(line))
      },
      close: () => spool.close(),
    }
  } catch (error) {
    await spool.close()
    throw error
  }
}

function readHead(line: string, number: number, runtimes: RuntimeTable): BatchReader {
  const value = parse(line, number)
  if ('path' in value) throw validationError([value])
  try {
    return readBatchHead(value.json, runtimes)
  } catch (error) {
    if (!(error instanceof RGridError)) throw error
    throw validationError(error.issues.map(({ path, message }) => ({ path: `lines.1.${path}`, message })))
  }
}

/** Whether further lines are of interest. */
async function takeLine(intake: Intake, line: string, number: number): Promise<boolean> {
  const value = parse(line, number)
  if ('json' in value) return intake.take(value.json, `lines.${number}`, line.length)
  return intake.fault(value)
}

function parse(line: string, number: number): { json: unknown } | Issue {
  try {
    return { json: JSON.parse(line) }
  } catch (error) {
    return { path: `lines.${number}`, message: `is not JSON: ${errorText(error)}` }
  }
}

async function* measured(body: AsyncIterable<Buffer>, hash: { update(part: Uint8Array): unknown }): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const part of body) {
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
