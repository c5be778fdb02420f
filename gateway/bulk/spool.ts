import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { RGridError } from '#core/errors.ts'
import { lines } from '#core/lines.ts'

/** Lines that were set aside while they came in; read again from the beginning. Throws `unavailable` when the disk is full. */
export interface Spool {
  write(line: string): Promise<void>
  lines(): AsyncIterable<string>
  close(): Promise<void>
}

/** Until so much has come it waits in memory, and so does what is written together later. */
const BUFFER_BYTES = 256 * 1024
/** No space on the disk, or none that this user may have. */
const FULL: readonly unknown[] = ['ENOSPC', 'EDQUOT']
const RETRY_SECONDS = 30

/** Makes one in `folder`; what is written to disk is in a file without a name: whatever becomes of this process, nothing is left of it. */
export function openSpool(folder: string, maxLineBytes: number): Spool {
  let file: FileHandle | undefined
  let waiting: string[] = []
  let characters = 0
  let size = 0

  async function flush(): Promise<void> {
    const bytes = Buffer.from(waiting.join(''))
    waiting = []
    characters = 0
    try {
      file ??= await openNameless(folder)
      await writeAll(file, bytes, size)
    } catch (error) {
      if (!FULL.includes((error as { code?: unknown }).code)) throw error
      throw new RGridError('unavailable', 'this gateway has no disk space left for a batch that comes in; try again', {
        cause: error,
        retryAfterSeconds: RETRY_SECONDS,
      })
    }
    size += bytes.length
  }

  return {
    async write(line) {
      waiting.push(`${line}\n`)
      characters += line.length + 1
      if (characters >= BUFFER_BYTES) await flush()
    },
    async *lines() {
      if (file) {
        await flush()
        for await (const line of lines(file.createReadStream({ start: 0, autoClose: false }), maxLineBytes)) yield line.toString('utf8')
      } else for (const line of waiting) yield line.slice(0, -1)
    },
    close: async () => file?.close(),
  }
}

async function openNameless(parent: string): Promise<FileHandle> {
  const folder = await mkdtemp(join(parent, 'rgrid-spool-'))
  try {
    return await open(join(folder, 'lines'), 'wx+', 0o600)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Writes all of it: the kernel may take a part at a time, above all on a disk that is nearly full. */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written)
    written += bytesWritten
  }
}
