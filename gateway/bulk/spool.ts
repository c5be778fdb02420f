import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lines } from '#core/lines.ts'

/** Lines that were set aside on disk while they came in; read again from the beginning. */
export interface Spool {
  write(line: string): Promise<void>
  lines(): AsyncIterable<string>
  close(): Promise<void>
}

const BUFFER_BYTES = 256 * 1024

/** Opens one. Its file has no name any more: whatever becomes of this process, nothing is left of it. */
export async function openSpool(maxLineBytes: number): Promise<Spool> {
  const folder = await mkdtemp(join(tmpdir(), 'rgrid-spool-'))
  let file: FileHandle
  try {
    file = await open(join(folder, 'lines'), 'wx+', 0o600)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  let waiting: string[] = []
  let bytes = 0
  let size = 0
  async function flush(): Promise<void> {
    const { bytesWritten } = await file.write(Buffer.from(waiting.join('')), 0, undefined, size)
    size += bytesWritten
    waiting = []
    bytes = 0
  }
  return {
    async write(line) {
      waiting.push(`${line}\n`)
      bytes += line.length + 1
      if (bytes >= BUFFER_BYTES) await flush()
    },
    async *lines() {
      await flush()
      for await (const line of lines(file.createReadStream({ start: 0, autoClose: false }), maxLineBytes)) yield line.toString('utf8')
    },
    close: () => file.close(),
  }
}
