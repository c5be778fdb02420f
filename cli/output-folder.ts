import { basename, extname } from 'node:path'

/**
 * The folder names for the outputs of a batch, one for each input: the base name without its extension; when two would
 * be the same, for all of them the base name; when two still would, the path with `/` as `__` (of absolute paths the
 * part below the folder that they all share).
 */
export function outputFolders(paths: readonly string[]): string[] {
  const shared = paths.some((path) => path.startsWith('/')) ? sharedFolder(paths) : ''
  const ways = [
    (path: string) => basename(path, extname(path)),
    (path: string) => basename(path),
    (path: string) => path.slice(shared.length).replaceAll('/', '__'),
  ]
  for (const way of ways) {
    const names = paths.map(way)
    if (new Set(names).size === names.length && names.every((name) => name !== '')) return names
  }
  return paths.map((path, index) => `${index}-${basename(path)}`)
}

/** The longest beginning of all paths that ends with `/`. */
function sharedFolder(paths: readonly string[]): string {
  let shared = paths[0] ?? ''
  while (shared !== '' && !paths.every((path) => path.startsWith(shared))) shared = shared.slice(0, shared.lastIndexOf('/', shared.length - 2) + 1)
  return shared.slice(0, shared.lastIndexOf('/') + 1)
}
