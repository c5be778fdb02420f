import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdir, realpath, rename, rm } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { ArtifactView, FileView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { pathFault } from '#core/job/path.ts'
import type { Client } from './client.ts'

/** Does `work` for each item, so many at a time; the results are in the order of the items. */
export async function inParallel<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await work(items[index] as T)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return results
}

/** Makes sure that a file's content is with the gateway; returns its id, and whether it had to be sent. */
export async function uploadFile(client: Client, project: string, path: string): Promise<{ fileId: string; sent: boolean }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  for await (const chunk of createReadStream(path)) {
    hash.update(chunk as Buffer)
    sizeBytes += (chunk as Buffer).length
  }
  const request = { sha256: hash.digest('hex'), sizeBytes }
  const announce = () => client.post<FileView>(`/v1/projects/${project}/files`, request)
  const file = await announce()
  if (!file.upload) return { fileId: file.id, sent: false }
  await put(file.upload.url, file.upload.headers, path, sizeBytes)
  const done = await announce()
  if (done.state !== 'ready') throw new RGridError('unavailable', `${path} was uploaded, but the object store does not show it; try again`)
  return { fileId: done.id, sent: true }
}

async function put(url: string, headers: Record<string, string>, path: string, sizeBytes: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const request = (url.startsWith('https:') ? https : http).request(
    url,
    { method: 'PUT', headers: { ...headers, 'content-length': String(sizeBytes) } },
    (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new RGridError('unavailable', `uploading ${path} failed: the object store answered ${response.statusCode}`))
    },
  )
  request.on('error', (error) => reject(new RGridError('unavailable', `uploading ${path} failed: ${error.message}`)))
  await Promise.all([promise, sizeBytes === 0 ? request.end() : pipeline(createReadStream(path, { end: sizeBytes - 1 }), request)])
}

/** Where an artifact goes below a folder; throws when its path would leave the folder, also through a link. */
export async function placeFor(folder: string, path: string): Promise<string> {
  const fault = pathFault(path)
  if (fault) throw new RGridError('internal', `the output ${JSON.stringify(path)} is not brought here: ${fault}`)
  const target = join(folder, path)
  await mkdir(dirname(target), { recursive: true })
  const inside = relative(await realpath(folder), await realpath(dirname(target)))
  if (inside === '..' || inside.startsWith('../')) throw new RGridError('conflict', `the output ${path} is not brought here: a link leads out of ${folder}`)
  return target
}

/** Fetches an artifact to a path: whole or not at all. */
export async function downloadArtifact(client: Client, artifact: ArtifactView, target: string): Promise<void> {
  const url = await client.location(`/v1/artifacts/${artifact.id}/download`)
  const response = await fetch(url)
  if (!response.ok || !response.body) throw new RGridError('unavailable', `${artifact.path} cannot be fetched: the object store answered ${response.status}`)
  const part = `${target}.rgrid-part`
  const hash = createHash('sha256')
  try {
    await pipeline(
      response.body,
      async function* (source: AsyncIterable<Uint8Array>) {
        for await (const chunk of source) {
          hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(part, { flags: 'w' }),
    )
    if (hash.digest('hex') !== artifact.sha256) throw new RGridError('internal', `${artifact.path} did not arrive as the node sent it (SHA-256)`)
    if (artifact.executable) await chmod(part, 0o755)
    await rename(part, target)
  } finally {
    await rm(part, { force: true })
  }
}
