import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file whole or not at all, mode 600. */
export async function writeWhole(path: string, text: string): Promise<void> {
  await write(path, text, false)
}

/** The same, and sees to it that it survives a power cut. */
export async function writeDurably(path: string, text: string): Promise<void> {
  await write(path, text, true)
  const folder = await open(dirname(path), 'r')
  await folder.sync()
  await folder.close()
}

async function write(path: string, text: string, sync: boolean): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await file.writeFile(text)
    if (sync) await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
}
