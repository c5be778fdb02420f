import type { Readable } from 'node:stream'
import { RGridError } from '#core/errors.ts'
import { DeadlineError, pause, withDeadline } from '#core/service/time.ts'

/** Between two parts, of about 64 KiB, of a body that nobody wants any more. */
const DROP_PAUSE_MS = 20

/**
 * The bytes of a request's body as they come. Throws `timeout` when nothing comes for `idleMs`. When the reader stops before
 * the end, the rest is dropped, without haste: the client hears the answer, and is not cut off while it sends.
 */
export async function* readBody(body: Readable, idleMs: number, stopping: AbortSignal): AsyncGenerator<Buffer> {
  const parts = body.iterator({ destroyOnReturn: false }) as AsyncIterator<Buffer>
  let silent = false
  try {
    for (;;) {
      const { done, value } = await withDeadline('the next part of a body', idleMs, () => parts.next())
      if (done) return
      yield value
    }
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error
    silent = true
    throw new RGridError('timeout', `nothing more of the body came for ${idleMs / 1000} s; send it without pausing`, { cause: error })
  } finally {
    if (!silent) void drop(body, parts, stopping)
  }
}

async function drop(body: Readable, parts: AsyncIterator<Buffer>, stopping: AbortSignal): Promise<void> {
  try {
    while (!body.destroyed && !(await parts.next()).done) await pause(DROP_PAUSE_MS, stopping)
  } catch (error) {
    // A client that goes away has had its answer.
    if (!body.destroyed) throw error
  }
}

/** The same, whole; throws `tooLarge` when it has more than `maxBytes`. */
export async function readWhole(body: AsyncIterable<Buffer>, maxBytes: number, tooLarge: () => RGridError): Promise<Buffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const part of body) {
    bytes += part.length
    if (bytes > maxBytes) throw tooLarge()
    parts.push(part)
  }
  return Buffer.concat(parts, bytes)
}
