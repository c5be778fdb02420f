import { constants } from 'node:zlib'
import compress from '@fastify/compress'
import type { FastifyInstance } from 'fastify'

/** Below that the headers weigh as much as what is saved. */
const MIN_BYTES = 1024

/**
 * For routes whose answer holds a secret that is told this once: its length after compression would depend on it (BREACH).
 * And for those that answer piece by piece, which a compressor would hold back.
 */
export const UNCOMPRESSED = { compress: false } as const

/**
 * Compresses larger answers with brotli or gzip, as the client asks. Followed logs and events are never compressed: they are
 * written past it (sse.ts). What clients send is not decompressed: a few bytes could be a bomb.
 */
export async function compressAnswers(app: FastifyInstance): Promise<void> {
  await app.register(compress, {
    threshold: MIN_BYTES,
    encodings: ['br', 'gzip'],
    globalDecompression: false,
    brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } },
    customTypes: /^(application\/(json|problem\+json|x-ndjson|javascript)|text\/(plain|html|css|javascript))(;|$)/,
  })
}
