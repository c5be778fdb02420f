import { type ResolvedSpec, resolveSpec } from '#core/job/resolve.ts'
import type { Spec } from '#core/job/spec.ts'
import { RUNTIMES } from '#core/runtimes.ts'

/** A resolved spec with the defaults, changed as asked. */
export function aSpec(change: Partial<Spec> = {}): ResolvedSpec {
  return resolveSpec({ runtime: 'bash', command: ['true'], ...change }, RUNTIMES, [])
}
