/** The folder on the work folder's top that belongs to RGrid; no input or output may be in it. */
export const RESERVED_FOLDER = '.rgrid'

/**
 * Why `path` cannot name a file inside the work folder, or undefined when it can: it must be relative, in normal
 * form (`a/b.txt`), stay inside, be well-formed text without control characters, and fit Linux's limits.
 */
export function pathFault(path: string): string | undefined {
  if (path === '') return 'must not be empty'
  if (Buffer.byteLength(path) > 1024) return 'must be at most 1024 bytes long'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  if (/[\u0000-\u001f\u007f]/.test(path)) return 'must not hold control characters'
  if (!path.isWellFormed()) return 'must be well-formed Unicode'
  if (path.startsWith('/')) return 'must be relative to the work folder, not absolute'
  for (const segment of path.split('/')) {
    if (segment === '..') return 'must not leave the work folder ("..")'
    if (segment === '' || segment === '.') return 'must be in normal form, without "//", "./" or a trailing "/"'
    if (Buffer.byteLength(segment) > 255) return 'has a name longer than 255 bytes'
  }
  if (path === RESERVED_FOLDER || path.startsWith(`${RESERVED_FOLDER}/`)) return `must not be in ${RESERVED_FOLDER}/, which is reserved`
  return undefined
}

/**
 * The first pair of paths of which one needs the other to be a folder (`a` and `a/b`), or which are the same;
 * undefined when all can exist side by side.
 */
export function conflictingPaths(paths: readonly string[]): [string, string] | undefined {
  const seen = new Set<string>()
  for (const path of paths) {
    if (seen.has(path)) return [path, path]
    seen.add(path)
  }
  for (const path of paths) {
    const segments = path.split('/')
    for (let i = 1; i < segments.length; i++) {
      const folder = segments.slice(0, i).join('/')
      if (seen.has(folder)) return [folder, path]
    }
  }
  return undefined
}
