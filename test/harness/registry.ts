import { EventEmitter, on, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ServedImage } from './registry-image.ts'

/**
 * A stand-in for a registry, as that one lies outside: the pulling half of the Docker Registry HTTP API V2
 * (https://distribution.github.io/distribution/spec/api/), on 127.0.0.1, which engines speak plain HTTP with. It is
 * strict, and can be told to fail.
 */
export interface Registry {
  /** `127.0.0.1:port`, the first part of every reference. */
  host: string
  /** Serves an image; a tag that was there moves. Returns the reference. */
  serve(repository: string, tag: string, image: ServedImage): string
  /** Every answer so far, in order; status 0 is a connection that was cut. */
  answers: readonly Answer[]
  /** Is fulfilled with the first answer, past or to come, that is like this. */
  answered(matches: (answer: Answer) => boolean): Promise<Answer>
  /** How often layers of a repository were asked for. */
  layerRequests(repository: string): number
  /** The next `times` requests of this kind are refused or cut in the middle; without `times`, all of them. */
  fail(repository: string, fault: Fault): void
  /** From now on a repository is given only for these credentials (RFC 7617). */
  protect(repository: string, login: { username: string; password: string }): void
  /** The next request for a layer gets half of it, and the rest when it is released. */
  hold(repository: string): Held
  /** No fault is injected any more. */
  mend(): void
  close(): Promise<void>
}

/** A request, and what came of it. */
export interface Answer {
  method: string
  path: string
  status: number
}

/** What goes wrong. */
export interface Fault {
  at: 'manifest' | 'config' | 'layer'
  times?: number
  /** `cut`: the connection ends after half of the answer. */
  with: 'cut' | { status: number; code: string; message: string; headers?: Record<string, string> }
}

/** A download that stands still. */
export interface Held {
  /** It has begun. */
  reached: Promise<void>
  /** The engine gave it up. */
  abandoned: Promise<void>
  release(): void
}

interface Repository {
  tags: Map<string, string>
  manifests: Map<string, ServedImage>
  blobs: Map<string, Buffer>
  configs: Set<string>
}

type Trouble = { repository: string; at: Fault['at']; left: number } & (
  | { what: Fault['with'] }
  | { what: 'hold'; reached(): void; abandoned(): void; released: Promise<void> }
)

const NAME = /^[a-z0-9]+(?:[._-][a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-][a-z0-9]+)*)*$/
const DIGEST = /^sha256:[0-9a-f]{64}$/

const CHALLENGE = { 'www-authenticate': 'Basic realm="registry"' }

/** Starts an empty one. */
export async function startRegistry(): Promise<Registry> {
  const repositories = new Map<string, Repository>()
  const answers: Answer[] = []
  const given = new EventEmitter<{ answer: [Answer] }>()
  const layers: string[] = []
  let troubles: Trouble[] = []
  const locks = new Map<string, string>()

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://registry')
    response.setHeader('docker-distribution-api-version', 'registry/2.0')
    // An engine asks here how to sign in; a registry without a protected repository asks nobody.
    if (pathname === '/v2/' && locks.size > 0 && request.headers.authorization === undefined)
      return refuse(response, 401, 'UNAUTHORIZED', 'authentication required', CHALLENGE)
    if (pathname === '/v2/') return send(request, response, 200, Buffer.from('{}'), { 'content-type': 'application/json' })
    const [, name, kind, which] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(pathname) ?? []
    if (name === undefined || which === undefined) return refuse(response, 404, 'NOT_FOUND', 'no such path')
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'UNSUPPORTED', 'the operation is unsupported')
    if (!NAME.test(name)) return refuse(response, 400, 'NAME_INVALID', 'invalid repository name')
    const repository = repositories.get(name)
    const lock = locks.get(name)
    if (lock !== undefined && request.headers.authorization !== lock) return refuse(response, 401, 'UNAUTHORIZED', 'authentication required', CHALLENGE)
    const at = kind === 'manifests' ? 'manifest' : repository?.configs.has(which) ? 'config' : 'layer'
    if (at === 'layer' && request.method === 'GET') layers.push(name)
    const trouble = troubles.find((one) => one.repository === name && one.at === at && one.left > 0)
    if (trouble) trouble.left -= 1
    if (trouble && typeof trouble.what === 'object') return refuse(response, trouble.what.status, trouble.what.code, trouble.what.message, trouble.what.headers)
    if (!repository) return refuse(response, 404, 'NAME_UNKNOWN', 'repository name not known to registry')
    return at === 'manifest' ? sendManifest(request, response, repository, which, trouble) : sendBlob(request, response, repository, which, trouble)
  }

  function sendManifest(request: IncomingMessage, response: ServerResponse, repository: Repository, which: string, trouble?: Trouble): Promise<void> | void {
    const digest = which.includes(':') ? which : repository.tags.get(which)
    const image = digest === undefined ? undefined : repository.manifests.get(digest)
    if (!image) return refuse(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown')
    const accepted = (request.headers.accept ?? '').split(',').map((type) => type.split(';')[0]?.trim())
    if (!accepted.includes(image.mediaType)) return refuse(response, 404, 'MANIFEST_UNKNOWN', `the manifest is ${image.mediaType}, which is not in Accept`)
    return send(request, response, 200, image.manifest, { 'content-type': image.mediaType, 'docker-content-digest': image.digest }, trouble)
  }

  function sendBlob(request: IncomingMessage, response: ServerResponse, repository: Repository, digest: string, trouble?: Trouble): Promise<void> | void {
    if (!DIGEST.test(digest)) return refuse(response, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
    const blob = repository.blobs.get(digest)
    if (!blob) return refuse(response, 404, 'BLOB_UNKNOWN', 'blob unknown to registry')
    const headers = { 'content-type': 'application/octet-stream', 'docker-content-digest': digest, 'accept-ranges': 'bytes' }
    const from = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]
    if (from === undefined || Number(from) === 0) return send(request, response, 200, blob, headers, trouble)
    if (Number(from) >= blob.length) return refuse(response, 416, 'RANGE_INVALID', 'the range is not of this blob')
    return send(
      request,
      response,
      206,
      blob.subarray(Number(from)),
      { ...headers, 'content-range': `bytes ${from}-${blob.length - 1}/${blob.length}` },
      trouble,
    )
  }

  async function send(
    request: IncomingMessage,
    response: ServerResponse,
    status: number,
    body: Buffer,
    headers: Record<string, string>,
    trouble?: Trouble,
  ): Promise<void> {
    response.writeHead(status, { ...headers, 'content-length': body.length })
    if (request.method === 'HEAD') return void response.end()
    if (!trouble) return void response.end(body)
    const half = Math.floor(body.length / 2)
    await new Promise<void>((resolve) => response.write(body.subarray(0, half), () => resolve()))
    if (trouble.what === 'cut') return void response.destroy()
    if (trouble.what !== 'hold') return
    response.once('close', () => response.writableFinished || trouble.abandoned())
    trouble.reached()
    await trouble.released
    response.end(body.subarray(half))
  }

  const server = createServer((request, response) => {
    response.once('close', () => {
      const one = { method: request.method ?? '', path: request.url ?? '', status: response.writableFinished ? response.statusCode : 0 }
      answers.push(one)
      given.emit('answer', one)
    })
    void answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    host,
    answers,
    async answered(matches) {
      const coming = on(given, 'answer')
      const past = answers.find(matches)
      if (past) return past
      for await (const [one] of coming as AsyncIterable<[Answer]>) if (matches(one)) return one
      throw new Error('no answer comes any more')
    },
    serve(name, tag, image) {
      const repository = repositories.get(name) ?? { tags: new Map(), manifests: new Map(), blobs: new Map(), configs: new Set() }
      repositories.set(name, repository)
      repository.tags.set(tag, image.digest)
      for (const part of [image, ...image.parts]) {
        repository.manifests.set(part.digest, part)
        repository.configs.add(part.config)
      }
      for (const [digest, blob] of image.blobs) repository.blobs.set(digest, blob)
      return `${host}/${name}:${tag}`
    },
    layerRequests: (repository) => layers.filter((name) => name === repository).length,
    fail(repository, fault) {
      troubles.push({ repository, at: fault.at, left: fault.times ?? Number.POSITIVE_INFINITY, what: fault.with })
    },
    protect(repository, { username, password }) {
      locks.set(repository, `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`)
    },
    hold(repository) {
      const [reached, abandoned, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      troubles.push({ repository, at: 'layer', left: 1, what: 'hold', reached: reached.resolve, abandoned: abandoned.resolve, released: released.promise })
      return { reached: reached.promise, abandoned: abandoned.promise, release: released.resolve }
    },
    mend() {
      troubles = []
    },
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** Refuses as the API's "Errors" section says: a list of code, message and detail. */
function refuse(response: ServerResponse, status: number, code: string, message: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify({ errors: [{ code, message, detail: null }] }))
}
