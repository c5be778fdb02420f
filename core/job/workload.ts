import { createHash } from 'node:crypto'
import type { ResolvedSpec } from './resolve.ts'

/** Of inline code so much says which it is, with its length: the code of a batch stands in each of its jobs. */
const CODE_CHARS = 1024

/**
 * What a job is an instance of: jobs with the same runtime or image, command and inline code have the same, whatever their arguments,
 * inputs and resources are. A script that goes along as a file is known by its path, so that it stays itself when it is changed.
 */
export function workloadOf({ runtime, image, command, code }: Pick<ResolvedSpec, 'runtime' | 'image' | 'command' | 'code'>): string {
  const source = code && [code.file, code.source.length, code.source.slice(0, CODE_CHARS)]
  return createHash('sha256')
    .update(JSON.stringify([runtime ?? image, command, source]))
    .digest('base64url')
    .slice(0, 16)
}
