import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type { PresignedPut, UploadedArtifact } from '#bus/messages/report.ts'
import { errorText } from '#core/errors.ts'
import { DeadlineError, monotonicMs, pause, withDeadline } from '#core/service/time.ts'
import { StepError } from '../step-error.ts'
import type { OutputFile } from './outputs.ts'

const PARALLEL = 4
/** How often an upload is tried that the object store refuses; one that it does not answer is tried as long as there is time. */
const TRIES = 4
const MAX_PAUSE_MS = 10_000
const IDLE_MS = 30_000

/** Asks for presigned PUTs; undefined when the lease is over. */
export type AskUploads = (
  files: { path: string; sizeBytes: number; sha256: string }[],
  log: boolean,
) => Promise<{ files: PresignedPut[]; log: PresignedPut | null } | undefined>

/**
 * Uploads outputs, 4 at a time; each is read once for its SHA-256 and once to be sent. The object store may take `limitMs`
 * for them; the time until somebody says where to upload does not count. Throws a transient StepError.
 */
export async function uploadOutputs(files: readonly OutputFile[], ask: AskUploads, limitMs: number, signal: AbortSignal): Promise<UploadedArtifact[]> {
  const artifacts: UploadedArtifact[] = []
  let leftMs = limitMs
  for (let start = 0; start < files.length; start += 200) {
    const part = files.slice(start, start + 200)
    const hashed = await Promise.all(part.map(async (file) => ({ file, sha256: await hashFile(file) })))
    const puts = await ask(
      hashed.map(({ file, sha256 }) => ({ path: file.path, sizeBytes: file.sizeBytes, sha256 })),
      false,
    )
    if (!puts) throw new StepError('output', 'the lease is over')
    const waiting = hashed.map((entry, i) => ({ ...entry, put: puts.files[i] as PresignedPut }))
    const worker = async (limit: AbortSignal) => {
      for (let next = waiting.shift(); next; next = waiting.shift()) {
        const { file, sha256, put } = next
        await withRetries(`output ${JSON.stringify(file.path)}`, limit, async () => {
          const handle = await openPlain(file)
          await send(put, handle.createReadStream({ autoClose: true, start: 0, end: Math.max(0, file.sizeBytes - 1) }), file.sizeBytes, limit)
        })
        artifacts.push({ path: file.path, sizeBytes: file.sizeBytes, sha256, executable: file.executable })
      }
    }
    const startedMs = monotonicMs()
    await withDeadline('uploading', leftMs, (limit) => Promise.all(Array.from({ length: PARALLEL }, () => worker(limit))), signal).catch((error: unknown) => {
      if (!(error instanceof DeadlineError)) throw error
      throw new StepError('output', `the object store did not take them within ${limitMs / 1000} s`, { transient: true })
    })
    leftMs -= monotonicMs() - startedMs
  }
  return artifacts
}

/** Archives the log file: gzip, in one PUT. Its size is not known before, so it is made in memory (bounded by the log's limit). Returns it. */
export async function uploadLog(path: string, put: PresignedPut, signal: AbortSignal): Promise<number> {
  const handle = await open(path, 'r')
  const parts: Buffer[] = []
  await pipeline(handle.createReadStream({ autoClose: true }), createGzip(), async (source) => {
    for await (const part of source) parts.push(part as Buffer)
  })
  const body = Buffer.concat(parts)
  await withRetries('the log', signal, () => send(put, [body], body.length, signal))
  return body.length
}

async function hashFile(file: OutputFile): Promise<string> {
  const hash = createHash('sha256')
  const handle = await openPlain(file)
  for await (const chunk of handle.createReadStream({ autoClose: true })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

function openPlain(file: OutputFile): Promise<FileHandle> {
  return open(file.source, constants.O_RDONLY | constants.O_NOFOLLOW)
}

async function send(put: PresignedPut, body: AsyncIterable<Buffer> | Iterable<Buffer>, sizeBytes: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const url = new URL(put.url)
  const headers = { ...put.headers, 'content-length': String(sizeBytes) }
  const request = (url.protocol === 'https:' ? https : http).request(url, { method: 'PUT', headers, signal }, (response) => {
    response.resume()
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) resolve()
    else if (status >= 400 && status < 500 && status !== 408 && status !== 429) reject(new RefusedError(status))
    else reject(new Error(`the object store answered ${status}`))
  })
  request.on('error', reject)
  request.setTimeout(IDLE_MS, () => request.destroy(new Error(`the object store was silent for ${IDLE_MS / 1000} s`)))
  await Promise.all([promise, sizeBytes === 0 ? request.end() : pipeline(body, request)])
}

/** The object store understood, and said no. */
class RefusedError extends Error {
  constructor(status: number) {
    super(`the object store answered ${status}`)
    this.name = 'RefusedError'
  }
}

async function withRetries(what: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RefusedError && attempt >= TRIES)
        throw new StepError('output', `${what} cannot be uploaded: ${errorText(error)}`, { transient: true })
      await pause(Math.min(MAX_PAUSE_MS, 250 * 2 ** attempt), signal)
      signal.throwIfAborted()
    }
  }
}
