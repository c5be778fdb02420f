import { createHash, randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { chmod, lstat, mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { ArtifactView } from '#core/api.ts'
import { errorText, RGridError } from '#core/errors.ts'
import { pathFault } from '#core/job/path.ts'
import { sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import { inParallel } from './parallel.ts'
import { UsageError } from './usage-error.ts'

const AT_ONCE = 4
const TRIES = 3

/** Brings the outputs of a job into a folder. Returns how many there were. Nothing is written when two would be one. */
export async function fetchOutputs(client: Client, jobId: string, folder: string, flat: boolean): Promise<number> {
  const items = await Array.fromAsync(client.all('GET /v1/jobs/:id/artifacts', { params: { id: jobId } }))
  const places = items.map((artifact) => ({ artifact, path: flat ? basename(artifact.path) : artifact.path }))
  const twice = places.find(({ path }, index) => places.findIndex((place) => place.path === path) !== index)
  if (twice) throw new UsageError(`--flat: two outputs would be ${twice.path}; bring them with their folders: rgrid download ${jobId}`)
  if (items.length > 0) await mkdir(folder, { recursive: true })
  await inParallel(places, AT_ONCE, async ({ artifact, path }) => {
    await fetchFile(client, artifact.id, await placeFor(folder, path), artifact)
  })
  return items.length
}

/**
 * Where an output goes below a folder, with the folders above it made. Throws when its path would leave the folder, also
 * through a link, or when something else is in its place.
 */
export async function placeFor(folder: string, path: string): Promise<string> {
  const fault = pathFault(path)
  if (fault) throw new RGridError('internal', `the output ${JSON.stringify(path)} is not brought here: its path ${fault}`)
  const top = await realpath(folder)
  const parents = path.split('/').slice(0, -1)
  for (const index of parents.keys()) {
    const parent = join(folder, ...parents.slice(0, index + 1))
    // One folder at a time: made in one go, they would be made behind a link that leads out before anyone looked.
    await mkdir(parent).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    const real = await realpath(parent).catch(() => undefined)
    const inside = real === undefined ? '..' : relative(top, real)
    if (inside === '..' || inside.startsWith('../'))
      throw new RGridError('conflict', `the output ${path} is not brought here: ${parent} is a link that leads out`)
    if (!(await stat(parent)).isDirectory()) throw new RGridError('conflict', `the output ${path} is not brought here: ${parent} is no folder`)
  }
  const target = join(folder, path)
  const there = await lstat(target).catch(() => undefined)
  if (there?.isDirectory()) throw new RGridError('conflict', `the output ${path} is not brought here: ${target} is a folder; --output-dir names another place`)
  return target
}

/** Fetches an artifact to a path: whole or not at all. What was there before is replaced, a link itself and not what it leads to. */
export async function fetchFile(client: Client, artifactId: string, target: string, expected?: Pick<ArtifactView, 'sha256' | 'executable'>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const part = join(dirname(target), `.rgrid-${randomBytes(6).toString('hex')}.part`)
    try {
      const sha256 = await writeBody(await openArtifact(client, artifactId), part)
      if (expected && sha256 !== expected.sha256) throw new RGridError('unavailable', `${target} did not arrive as the node sent it (SHA-256)`)
      if (expected?.executable) await chmod(part, 0o755)
      await rename(part, target)
      return
    } catch (error) {
      if (!(error instanceof RGridError) || error.code !== 'unavailable' || attempt === TRIES) throw error
      await sleep(250 * 2 ** attempt)
    } finally {
      await rm(part, { force: true })
    }
  }
}

/** The name that the object store gives an artifact, for one that is fetched by its id alone. */
export async function artifactName(client: Client, artifactId: string): Promise<string> {
  const response = await openArtifact(client, artifactId)
  await response.body?.cancel()
  return dispositionName(response.headers.get('content-disposition')) ?? artifactId
}

/** The file name of a Content-Disposition header (RFC 6266), without anything that could lead elsewhere. */
export function dispositionName(header: string | null): string | undefined {
  const encoded = /filename\*=UTF-8''([^;]+)/i.exec(header ?? '')?.[1]
  const plain = /filename="((?:[^"\\]|\\.)*)"/i.exec(header ?? '')?.[1]?.replaceAll(/\\(.)/g, '$1')
  const name = basename(encoded === undefined ? (plain ?? '') : decodeURIComponent(encoded))
  return pathFault(name) === undefined ? name : undefined
}

async function openArtifact(client: Client, artifactId: string): Promise<Response> {
  const url = await client.location(artifactId)
  const response = await fetch(url).catch((error: unknown) => {
    throw new RGridError('unavailable', `the object store does not answer: ${errorText(error)}`, { cause: error })
  })
  if (response.ok) return response
  await response.body?.cancel()
  throw new RGridError('unavailable', `${artifactId} cannot be fetched: the object store answered ${response.status}`)
}

async function writeBody(response: Response, part: string): Promise<string> {
  const hash = createHash('sha256')
  const hashed = async function* (chunks: AsyncIterable<Uint8Array>) {
    try {
      for await (const chunk of chunks) {
        hash.update(chunk)
        yield chunk
      }
    } catch (error) {
      throw new RGridError('unavailable', `the download broke off: ${errorText(error)}`, { cause: error })
    }
  }
  try {
    // `wx`: never through something that is there already.
    await pipeline(response.body ?? new Blob([]).stream(), hashed, createWriteStream(part, { flags: 'wx' }))
  } catch (error) {
    if (error instanceof RGridError) throw error
    throw new RGridError('conflict', `${dirname(part)} cannot be written to: ${errorText(error)}`, { cause: error })
  }
  return hash.digest('hex')
}
