import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { pipeline } from 'node:stream/promises'
import { errorText, RGridError } from '#core/errors.ts'
import type { InputFile } from '#core/job/spec.ts'
import { sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import type { LocalInput } from './local-files.ts'
import { inParallel } from './parallel.ts'
import type { Printer } from './print.ts'

const AT_ONCE = 4
const TRIES = 3
/** So long without a byte going through, and the connection is given up. */
const STALL_MS = 60_000
/** From so many files on, a terminal sees how far it is. */
const SHOW_FROM = 20

/** Makes sure that the content of local files is with the gateway; returns them as inputs of a job, in their order. */
export async function uploadInputs(client: Client, print: Printer, project: string, inputs: readonly LocalInput[]): Promise<InputFile[]> {
  let done = 0
  let sent = 0
  const files = await inParallel(inputs, AT_ONCE, async ({ local, path, executable }): Promise<InputFile> => {
    const uploaded = await uploadFile(client, project, local)
    if (uploaded.sent) sent++
    done++
    if (inputs.length >= SHOW_FROM) print.progress(`${done}/${inputs.length} files, ${sent} uploaded`)
    return { path, file: uploaded.fileId, ...(executable ? { executable } : {}) }
  })
  print.progress('')
  const count = files.length === 1 ? '1 file' : `${files.length} files`
  if (print.isTerminal && files.length > 0) print.say(print.colour('dim', `${count}, ${sent} uploaded, ${files.length - sent} already there`))
  return files
}

async function uploadFile(client: Client, project: string, path: string): Promise<{ fileId: string; sent: boolean }> {
  const { sha256, sizeBytes } = await digest(path)
  const announce = () => client.call('POST /v1/projects/:slug/files', { params: { slug: project }, body: { sha256, sizeBytes } })
  for (let attempt = 1; ; attempt++) {
    // Asked again each time: an address to upload to does not live long.
    const file = await announce()
    if (!file.upload) return { fileId: file.id, sent: attempt > 1 }
    try {
      await put(file.upload.url, file.upload.headers, path, sizeBytes)
      const { id, state } = await announce()
      if (state === 'ready') return { fileId: id, sent: true }
      throw new RGridError('unavailable', `${path} was uploaded, but the object store does not show it; try again`)
    } catch (error) {
      if (!(error instanceof RGridError) || error.code !== 'unavailable' || attempt === TRIES) throw error
      await sleep(250 * 2 ** attempt)
    }
  }
}

async function digest(path: string): Promise<{ sha256: string; sizeBytes: number }> {
  const hash = createHash('sha256')
  let sizeBytes = 0
  try {
    for await (const chunk of createReadStream(path)) {
      hash.update(chunk as Buffer)
      sizeBytes += (chunk as Buffer).length
    }
  } catch (error) {
    throw new RGridError('bad_request', `${path} cannot be read: ${errorText(error)}`, { cause: error })
  }
  return { sha256: hash.digest('hex'), sizeBytes }
}

/** PUTs the file with exactly those headers: they are part of the signature (fetch would send it in chunks, which S3 refuses). */
async function put(url: string, headers: Record<string, string>, path: string, sizeBytes: number): Promise<void> {
  const answered = Promise.withResolvers<void>()
  const options = { method: 'PUT', timeout: STALL_MS, headers: { ...headers, 'content-length': String(sizeBytes) } }
  const request = (url.startsWith('https:') ? https : http).request(url, options, (response) => {
    response.resume()
    if (response.statusCode === 200) answered.resolve()
    else answered.reject(new RGridError('unavailable', `uploading ${path} failed: the object store answered ${response.statusCode}`))
  })
  const failed = (error: Error) => new RGridError('unavailable', `uploading ${path} failed: ${error.message}`, { cause: error })
  request.on('timeout', () => request.destroy(new Error(`nothing moved for ${STALL_MS / 1000} s`)))
  request.on('error', (error) => answered.reject(failed(error)))
  const send = async () => {
    if (sizeBytes === 0) request.end()
    else await pipeline(createReadStream(path, { end: sizeBytes - 1 }), request)
  }
  // A store that refuses answers before everything is sent, and then closes: its answer says more than the broken pipe.
  const sent = send().catch((error: Error) => {
    request.destroy()
    answered.reject(failed(error))
  })
  await answered.promise
  await sent
}
