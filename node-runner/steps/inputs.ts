import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, open, rm } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { useAgent } from 'request-filtering-agent'
import type { AssignedInput, Assignment } from '#bus/messages/claim.ts'
import type { Allowed } from '#core/allow-list.ts'
import { errorText } from '#core/errors.ts'
import { pathFault } from '#core/job/path.ts'
import { formatBytes } from '#core/job/quantity.ts'
import { pause } from '#core/service/time.ts'
import { JOB_UID } from '../docker/options.ts'
import { StepError } from '../step-error.ts'

const MAX_REDIRECTS = 5
const PARALLEL = 4
const FOREIGN_TRIES = 3
const MAX_PAUSE_MS = 10_000
const IDLE_MS = 30_000

/** Puts every input, and inline code, into the work folder, which nobody else has touched yet. Throws StepErrors. */
export async function fetchInputs(job: Assignment, workDir: string, allowed: readonly Allowed[], signal: AbortSignal): Promise<void> {
  try {
    if (job.spec.code) await writeOne(workDir, { path: job.spec.code.file, executable: false }, Readable.from([Buffer.from(job.spec.code.source)]))
    const waiting = [...job.inputs]
    const worker = async () => {
      for (let input = waiting.shift(); input; input = waiting.shift()) await fetchPatiently(input, workDir, allowed, signal)
    }
    await Promise.all(Array.from({ length: PARALLEL }, worker))
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof StepError) throw error
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
      throw new StepError('input', `the inputs do not fit the work folder of ${formatBytes(job.spec.diskBytes)}; ask for more with resources.disk`)
    throw error
  }
}

/**
 * Trouble that may pass does not end the attempt at once: our own object store is waited for as long as preparing may take,
 * an address of the user's is tried a few times.
 */
async function fetchPatiently(input: AssignedInput, workDir: string, allowed: readonly Allowed[], signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetchOne(input, workDir, allowed, signal)
    } catch (error) {
      signal.throwIfAborted()
      const mayPass = error instanceof StepError && error.attemptCause === 'input' && error.transient
      if (!mayPass || (!input.trusted && attempt === FOREIGN_TRIES)) throw error
      await pause(Math.min(MAX_PAUSE_MS, 250 * 2 ** attempt), signal)
      signal.throwIfAborted()
      await rm(join(workDir, input.path), { force: true })
    }
  }
}

async function fetchOne(input: AssignedInput, workDir: string, allowed: readonly Allowed[], signal: AbortSignal): Promise<void> {
  const response = await get(input, input.url, allowed, signal, MAX_REDIRECTS)
  const hash = createHash('sha256')
  let bytes = 0
  const counted = async function* () {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  try {
    await writeOne(workDir, input, counted())
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC' || error instanceof StepError) throw error
    throw new StepError('input', `${input.path}: the download broke off after ${formatBytes(bytes)}: ${errorText(error)}`, { transient: true })
  }
  const declared = Number(response.headers['content-length'] ?? Number.NaN)
  if (Number.isFinite(declared) && declared !== bytes) throw new StepError('input', `${input.path}: ${bytes} of ${declared} bytes came`, { transient: true })
  if (input.sizeBytes !== null && input.sizeBytes !== bytes) throw new StepError('input', `${input.path}: is ${bytes} bytes long, not ${input.sizeBytes}`)
  if (input.sha256 !== null && input.sha256 !== hash.digest('hex')) throw new StepError('input', `${input.path}: its SHA-256 is not ${input.sha256}`)
}

/** Opens an address. One that a user gave is filtered by the address that is really connected to, at each redirect anew. */
async function get(input: AssignedInput, address: string, allowed: readonly Allowed[], signal: AbortSignal, redirects: number): Promise<http.IncomingMessage> {
  const url = new URL(address)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new StepError('input', `${input.path}: ${url.protocol} addresses cannot be fetched`)
  const isAllowedPort = ({ port }: Allowed) => port === undefined || port === Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const filter = { allowIPAddressList: allowed.filter(isAllowedPort).map(({ cidr }) => cidr.replace(/\/32$/, '')) }
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
  const request = (url.protocol === 'https:' ? https : http).get(url, { signal, ...(input.trusted ? {} : { agent: useAgent(address, filter) }) }, resolve)
  request.on('error', reject)
  request.setTimeout(IDLE_MS, () => request.destroy(new Error(`no answer for ${IDLE_MS / 1000} s`)))
  const response = await promise.catch((error: Error) => {
    signal.throwIfAborted()
    const refused = /is not allowed|private|filtering/i.test(error.message)
    throw new StepError(
      'input',
      refused
        ? `${input.path}: ${url.hostname} is an address that may not be fetched from (private, loopback or metadata)`
        : `${input.path}: cannot be fetched: ${error.message}`,
      { transient: !refused },
    )
  })
  const status = response.statusCode ?? 0
  if (status >= 200 && status < 300) return response
  response.resume()
  const location = response.headers.location
  if (status >= 300 && status < 400 && location !== undefined) {
    if (redirects === 0) throw new StepError('input', `${input.path}: more than ${MAX_REDIRECTS} redirects`)
    return get({ ...input, trusted: false }, new URL(location, url).href, allowed, signal, redirects - 1)
  }
  // An address of our own that is refused has expired, or its key was changed: the next attempt gets a new one.
  if (input.trusted && status === 403) throw new StepError('runner_error', `${input.path}: the address of the file is not good any more`, { transient: true })
  const transient = status >= 500 || status === 408 || status === 429
  throw new StepError('input', `${input.path}: the server answered ${status}`, { transient })
}

async function writeOne(workDir: string, file: { path: string; executable: boolean }, content: AsyncIterable<Buffer>): Promise<void> {
  // Checked at the submit too; here it keeps a wrong path from ever leaving the work folder.
  const fault = pathFault(file.path)
  if (fault) throw new StepError('input', `${file.path}: ${fault}`)
  const path = join(workDir, file.path)
  await makeFolders(workDir, dirname(file.path))
  const handle = await open(path, 'wx', 0o600)
  try {
    for await (const chunk of content) await handle.writeFile(chunk)
  } finally {
    await handle.close()
  }
  await chown(path, JOB_UID, JOB_UID)
  await chmod(path, file.executable ? 0o755 : 0o644)
}

async function makeFolders(workDir: string, folder: string): Promise<void> {
  if (folder === '.') return
  let path = workDir
  for (const part of folder.split('/')) {
    path = join(path, part)
    const made = await mkdir(path, { mode: 0o755 }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST') return false
        throw error
      },
    )
    if (made) await chown(path, JOB_UID, JOB_UID)
  }
}
