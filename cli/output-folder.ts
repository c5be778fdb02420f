import { basename, extname } from 'node:path'

/**
 * The folder names for the outputs of a batch, one for each input: the base name without its extension; when two would
 * be the same, for all of them the base name; when two still would, the path with `/` as `__`.
 */
export function outputFolders(paths: readonly string[]): string[] {
  const ways = [(path: string) => basename(path, extname(path)), (path: string) => basename(path), (path: string) => path.replaceAll('/', '__')]
  for (const way of ways) {
    const names = paths.map(way)
    if (new Set(names).size === names.length && names.every((name) => name !== '')) return names
  }
  return paths.map((path, index) => `${index}-${basename(path)}`)
}
