import { globSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { MAX_BATCH_ITEMS } from '#core/batch.ts'
import { find } from './local-files.ts'
import { UsageError } from './usage-error.ts'

/**
 * The files that `--batch` means, sorted, each once. A pattern that is the name of a file means that file, whatever it
 * looks like. Throws a UsageError when a pattern matches nothing.
 */
export function findBatchFiles(cwd: string, patterns: readonly string[]): string[] {
  const files = new Set<string>()
  for (const pattern of patterns) {
    const isFile = (path: string) => find(resolve(cwd, path))?.isFile() ?? false
    const matches = isFile(pattern) ? [pattern] : globSync(pattern, { cwd }).filter(isFile)
    if (matches.length === 0) throw new UsageError(`--batch: no file matches ${pattern} here`)
    for (const match of matches) files.add(fromHere(cwd, match))
  }
  if (files.size > MAX_BATCH_ITEMS) throw new UsageError(`--batch: ${files.size} files match; at most ${MAX_BATCH_ITEMS} may be one batch`)
  return [...files].sort()
}

function fromHere(cwd: string, path: string): string {
  const local = resolve(cwd, path)
  const short = relative(cwd, local)
  return short.startsWith('../') ? local : short
}

/** The arguments of the job for one file: it takes the place of `{}`, or comes last. */
export function argumentsFor(args: readonly string[], file: string): string[] {
  return args.some((arg) => arg.includes('{}')) ? args.map((arg) => arg.replaceAll('{}', () => file)) : [...args, file]
}

/** Why a shell may have taken the pattern apart before `rgrid` saw it, or undefined. */
export function unquotedHint(cwd: string, patterns: readonly string[], args: readonly string[]): string | undefined {
  const [only, ...more] = patterns
  if (only === undefined || more.length > 0 || /[*?[{]/.test(only)) return undefined
  const ending = /\.[^./]+$/.exec(only)?.[0]
  const alike = args.filter((arg) => ending !== undefined && arg.endsWith(ending) && find(resolve(cwd, arg))?.isFile())
  return alike.length === 0
    ? undefined
    : `--batch means ${only} alone, and ${alike[0]} is an argument of each job; to mean all of them, quote the pattern: --batch '*${ending}'`
}
