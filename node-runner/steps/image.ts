import { createHash, randomBytes } from 'node:crypto'
import type Docker from 'dockerode'
import { lines } from '#core/lines.ts'
import { monotonicMs, pause, untilAborted } from '#core/service/time.ts'
import type { ImageRecord } from '../image/record.ts'
import type { PullResult } from '../meters.ts'
import { StepError } from '../step-error.ts'

/** An image that is on the machine. */
export interface LocalImage {
  id: string
  /** What it is, whatever the name says tomorrow: the registry's digest, or the id of an image built here. */
  digest: string
}

/** The same, and what the engine calls it. */
interface FoundImage extends LocalImage {
  names: string[]
}

/** Brings images to the machine; pulls of the same one share the download. */
export interface Images {
  /**
   * Throws a StepError with cause `image`. `login` is for the registry. An image that took credentials is given, though it
   * is on the machine, only to who can pull it too.
   */
  ensure(reference: string, signal: AbortSignal, login?: RegistryLogin | null): Promise<LocalImage>
  /** References that are being brought, or looked at, now. */
  wanted(): ReadonlySet<string>
}

/** Credentials of a registry. */
export interface RegistryLogin {
  server: string
  username: string
  password: string
}

/** A pull that is under way, and how many attempts wait for it. */
interface Pull {
  waiting: number
  stop: AbortController
  done: Promise<void>
}

/** How often a pull is tried that failed for a reason that may pass. */
const TRIES = 3
const PAUSE_MS = 2000

/**
 * See the interface. Pulls and uses are noted in `record`. A pull that nobody waits for any more is called off: engine
 * 20.10 notices it with the next byte that comes, but no later attempt has to wait for a pull that hangs. `told` hears how
 * each pull ended.
 */
export function createImages(
  docker: Docker,
  record: Pick<ImageRecord, 'pulling' | 'pulled' | 'used' | 'isPrivate'>,
  told: (result: PullResult, seconds: number) => void = () => undefined,
): Images {
  const pulls = new Map<string, Pull>()
  const wanted = new Map<string, number>()
  // With which credentials a private image was pulled, by its id; of this run of the process, with a salt of it.
  const proven = new Map<string, Set<string>>()
  const salt = randomBytes(16)
  const keyOf = (login: RegistryLogin | null) => (login ? createHash('sha256').update(salt).update(JSON.stringify(login)).digest('base64') : 'nobody')
  const mayUse = (image: FoundImage, login: RegistryLogin | null) =>
    !record.isPrivate(image.id, image.names) || proven.get(image.id)?.has(keyOf(login)) === true

  async function inspect(reference: string): Promise<FoundImage | undefined> {
    try {
      const found = await docker.getImage(reference).inspect()
      return { id: found.Id, digest: found.RepoDigests?.[0] ?? found.Id, names: [...(found.RepoTags ?? []), ...(found.RepoDigests ?? [])] }
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return undefined
      throw error
    }
  }

  function startPull(reference: string, login: RegistryLogin | null, name: string): Pull {
    const stop = new AbortController()
    const pull: Pull = { waiting: 0, stop, done: pullPatiently(docker, reference, login, stop.signal) }
    pulls.set(name, pull)
    const forget = () => {
      if (pulls.get(name) === pull) pulls.delete(name)
    }
    pull.done.then(forget, forget)
    const startedMs = monotonicMs()
    const tell = (result: PullResult) => told(result, (monotonicMs() - startedMs) / 1000)
    pull.done.then(
      () => tell('pulled'),
      (error: unknown) => tell(stop.signal.aborted ? 'called_off' : error instanceof StepError && !error.transient ? 'refused' : 'failed'),
    )
    return pull
  }

  async function awaitPull(reference: string, login: RegistryLogin | null, signal: AbortSignal): Promise<void> {
    // Who has other credentials pulls for themselves.
    const name = `${keyOf(login)} ${reference}`
    const pull = pulls.get(name) ?? startPull(reference, login, name)
    pull.waiting++
    try {
      await untilAborted(pull.done, signal)
    } finally {
      pull.waiting--
      if (pull.waiting === 0) {
        // The next attempt that wants it starts anew.
        if (pulls.get(name) === pull) pulls.delete(name)
        pull.stop.abort(new Error('nobody waits for it'))
      }
    }
  }

  async function bring(reference: string, login: RegistryLogin | null, signal: AbortSignal): Promise<LocalImage> {
    const local = await inspect(reference)
    if (local && mayUse(local, login)) {
      // Not waited for: it is only a hint of what is used, and the job need not wait for the disk.
      void record.used(local.id).catch(() => undefined)
      return { id: local.id, digest: local.digest }
    }
    if (login) await record.pulling(reference)
    await awaitPull(reference, login, signal)
    const pulled = await inspect(reference)
    if (!pulled) throw new StepError('image', `${reference} was pulled and is not there`, { transient: true })
    await record.pulled(reference, pulled.id, login !== null)
    if (login) proven.set(pulled.id, (proven.get(pulled.id) ?? new Set()).add(keyOf(login)))
    return { id: pulled.id, digest: pulled.digest }
  }

  return {
    wanted: () => new Set(wanted.keys()),
    async ensure(reference, signal, login = null) {
      // The engine takes its parts for a path of its API.
      if (/\/\/|\.\./.test(reference)) throw new StepError('image', `${reference} is no image reference`)
      wanted.set(reference, (wanted.get(reference) ?? 0) + 1)
      try {
        return await bring(reference, login, signal)
      } finally {
        const left = (wanted.get(reference) ?? 1) - 1
        if (left > 0) wanted.set(reference, left)
        else wanted.delete(reference)
      }
    },
  }
}

async function pullPatiently(docker: Docker, reference: string, login: RegistryLogin | null, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await pullImage(docker, reference, login, signal)
    } catch (error) {
      if (!(error instanceof StepError && error.transient) || attempt === TRIES) throw error
      await pause(PAUSE_MS * attempt, signal)
      signal.throwIfAborted()
    }
  }
}

async function pullImage(docker: Docker, reference: string, login: RegistryLogin | null, signal: AbortSignal): Promise<void> {
  // In a header, X-Registry-Auth; the engine does not keep it. Docker Hub goes by its old name there.
  const auth = login && {
    username: login.username,
    password: login.password,
    serveraddress: login.server === 'docker.io' ? 'https://index.docker.io/v1/' : login.server,
  }
  const options = { fromImage: withTag(reference), abortSignal: signal }
  try {
    const stream = (await (auth ? docker.createImage(auth, options) : docker.createImage(options))) as unknown as AsyncIterable<Uint8Array>
    await untilAborted(readProgress(stream), signal)
  } catch (error) {
    signal.throwIfAborted()
    const text = error instanceof Error ? error.message : String(error)
    if (isOfNode(error, text)) throw new StepError('runner_error', `this node cannot keep ${reference}: ${text.trim()}`, { transient: true, nodeFault: true })
    throw new StepError('image', `${reference} cannot be pulled: ${text.trim()}`, { transient: MAY_PASS.test(text) || !PERMANENT.test(text) })
  }
}

/** The engine is away, or its disk fails. A registry can say neither: its words come behind a code of the protocol. */
function isOfNode(error: unknown, text: string): boolean {
  const { code, syscall } = error as NodeJS.ErrnoException
  return (syscall === 'connect' && (code === 'ECONNREFUSED' || code === 'ENOENT')) || BROKEN_DISK.test(text)
}

const BROKEN_DISK = /^(failed to register layer|write \/|open \/|mkdir \/).*(input\/output error|read-only file system)/i
const MAY_PASS = /too ?many ?requests|429|timeout|timed out|connection refused|connection reset|temporar/i
const PERMANENT =
  /not found|manifest unknown|name unknown|not known to registry|does not exist|denied|unauthorized|invalid reference|no matching manifest|no basic auth credentials|authentication required/i
const MAX_LINE_BYTES = 2 ** 20

/** The engine answers 200 and tells of errors inside the stream, a JSON document a line. */
async function readProgress(stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const line of lines(stream, MAX_LINE_BYTES)) {
    if (line.toString().trim() === '') continue
    const { error } = JSON.parse(line.toString('utf8')) as { error?: string }
    if (error) throw new Error(error)
  }
}

function withTag(reference: string): string {
  const last = reference.split('/').at(-1) ?? ''
  return last.includes(':') || last.includes('@') ? reference : `${reference}:latest`
}
