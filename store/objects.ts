import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

/** How long the server may take to accept a connection, and to begin its answer. */
const DEADLINES = { connectMs: 2000, answerMs: 10_000 }

/** Where objects live. `presignUrl` is the address of the same server as clients and nodes reach it. */
export interface ObjectsConfig {
  url: string
  presignUrl: string
  region: string
  bucket: string
  accessKey: string
  secretKey: string
}

/** A presigned PUT: the body must be sent with exactly these headers. */
export interface PresignedPut {
  url: string
  headers: Record<string, string>
}

/** An object as a listing gives it. */
export interface StoredObject {
  key: string
  sizeBytes: number
}

/** The object store (any S3 server). Keys of tenants begin with `<kind>/<account>/<project>/`. */
export interface Objects {
  /** A URL that lets its bearer put exactly `sizeBytes` bytes at `key`. */
  presignPut(key: string, sizeBytes: number | undefined, expiresSeconds: number): Promise<PresignedPut>
  /** A URL that lets its bearer get `key`; `fileName` is what a browser saves it as. */
  presignGet(key: string, expiresSeconds: number, fileName?: string): Promise<string>
  /** The size of an object in bytes, or undefined when there is none. */
  size(key: string, signal?: AbortSignal): Promise<number | undefined>
  /** The bytes of an object; undefined when there is none. */
  read(key: string, signal?: AbortSignal): Promise<Readable | undefined>
  delete(key: string, signal?: AbortSignal): Promise<void>
  /** Every object of the bucket. */
  list(signal: AbortSignal): AsyncGenerator<StoredObject>
  /** Creates the bucket when it is missing. */
  ensureBucket(): Promise<void>
  /** Throws when the server or the bucket does not answer. */
  check(signal?: AbortSignal): Promise<void>
  close(): void
}

/** Connects to the object store; opens no connection until it is used. */
export function createObjects(config: ObjectsConfig, { connectMs, answerMs } = DEADLINES): Objects {
  const make = (endpoint: string) =>
    new S3Client({
      endpoint,
      region: config.region,
      credentials: { accessKeyId: config.accessKey, secretAccessKey: config.secretKey },
      forcePathStyle: true,
      // By default it waits for ever. Bodies are read at the pace of whoever reads them.
      requestHandler: { connectionTimeout: connectMs, requestTimeout: answerMs, throwOnRequestTimeout: true },
      // By default the SDK signs the checksum of an empty body into presigned PUTs.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    })
  const client = make(config.url)
  const presigner = make(config.presignUrl)
  const at = (key: string) => ({ Bucket: config.bucket, Key: key })

  return {
    async presignPut(key, sizeBytes, expiresSeconds) {
      const command = new PutObjectCommand({ ...at(key), ...(sizeBytes === undefined ? {} : { ContentLength: sizeBytes }) })
      const signableHeaders = new Set(sizeBytes === undefined ? ['host'] : ['host', 'content-length'])
      const url = await getSignedUrl(presigner, command, { expiresIn: expiresSeconds, signableHeaders })
      return { url, headers: sizeBytes === undefined ? {} : { 'content-length': String(sizeBytes) } }
    },
    async presignGet(key, expiresSeconds, fileName) {
      const disposition = fileName === undefined ? {} : { ResponseContentDisposition: `attachment; filename*=UTF-8''${encodeURIComponent(fileName)}` }
      return getSignedUrl(presigner, new GetObjectCommand({ ...at(key), ...disposition }), { expiresIn: expiresSeconds })
    },
    async size(key, signal) {
      try {
        const head = await client.send(new HeadObjectCommand(at(key)), signal ? { abortSignal: signal } : {})
        return head.ContentLength
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    async read(key, signal) {
      try {
        const object = await client.send(new GetObjectCommand(at(key)), signal ? { abortSignal: signal } : {})
        return object.Body as Readable
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    async delete(key, signal) {
      await client.send(new DeleteObjectCommand(at(key)), signal ? { abortSignal: signal } : {})
    },
    async *list(signal) {
      for (let token: string | undefined, more = true; more; more = token !== undefined) {
        const command = new ListObjectsV2Command({ Bucket: config.bucket, ...(token === undefined ? {} : { ContinuationToken: token }) })
        const page = await client.send(command, { abortSignal: signal })
        for (const object of page.Contents ?? []) yield { key: object.Key ?? '', sizeBytes: object.Size ?? 0 }
        token = page.IsTruncated ? page.NextContinuationToken : undefined
      }
    },
    async ensureBucket() {
      try {
        await client.send(new HeadBucketCommand({ Bucket: config.bucket }))
      } catch (error) {
        if (!isMissing(error)) throw error
        await client.send(new CreateBucketCommand({ Bucket: config.bucket }))
      }
    },
    async check(signal) {
      await client.send(new HeadBucketCommand({ Bucket: config.bucket }), signal ? { abortSignal: signal } : {})
    },
    close() {
      client.destroy()
      presigner.destroy()
    },
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && error.$metadata.httpStatusCode === 404
}

/** The key of an uploaded file: by content, so the same bytes of one project are stored once. */
export function fileKey(accountId: string, projectId: string, sha256: string): string {
  return `files/${accountId}/${projectId}/${sha256}`
}

/** The key of an output; the path itself is hashed, as it may hold anything. Uploads and reports derive it alike. */
export function artifactKey(owner: { accountId: string; projectId: string; jobId: string }, attemptId: string, path: string): string {
  const hash = createHash('sha256').update(path).digest('hex').slice(0, 40)
  return `artifacts/${owner.accountId}/${owner.projectId}/${owner.jobId}/${attemptId}/${hash}`
}

/** The key of an attempt's archived log (NDJSON, gzip). */
export function logKey(owner: { accountId: string; projectId: string; jobId: string }, attemptId: string): string {
  return `logs/${owner.accountId}/${owner.projectId}/${owner.jobId}/${attemptId}.ndjson.gz`
}
