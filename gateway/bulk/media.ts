import type { Readable } from 'node:stream'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RGridError } from '#core/errors.ts'
import { readWhole } from './body.ts'

/** The largest batch that is taken as one document. */
const MAX_JSON_BYTES = 4 * 2 ** 20

/** The body of a batch: the route reads it itself, as it comes. */
export interface BatchBody {
  media: 'json' | 'ndjson'
  stream: Readable
}

/** Hands the bodies of this scope's routes on unread, whichever of the two media types they have. */
export function takeBatchBodies(scope: FastifyInstance): void {
  scope.removeContentTypeParser('application/json')
  scope.addContentTypeParser('application/json', (_, stream, done) => done(null, { media: 'json', stream } satisfies BatchBody))
  scope.addContentTypeParser('application/x-ndjson', (_, stream, done) => done(null, { media: 'ndjson', stream } satisfies BatchBody))
}

/** The bytes of a batch that is one document; throws `too_large` with the first of them where its length is told. */
export async function readDocument(request: FastifyRequest, body: AsyncIterable<Buffer>): Promise<Buffer> {
  const isKnown = Number(request.headers['content-length']) > MAX_JSON_BYTES
  const bytes = await readWhole(body, isKnown ? 0 : MAX_JSON_BYTES, tooLarge)
  if (bytes.length === 0) throw new RGridError('bad_request', 'the body is empty; send a Batch document')
  return bytes
}

function tooLarge(): RGridError {
  const most = `${MAX_JSON_BYTES / 2 ** 20} MiB`
  return new RGridError('too_large', `a batch as application/json has at most ${most}; send it line by line, as application/x-ndjson (docs/API.md)`)
}
