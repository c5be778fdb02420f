import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs'
import { basename, join, normalize, relative, resolve } from 'node:path'
import { pathFault, RESERVED_FOLDER } from '#core/job/path.ts'
import { UsageError } from './usage-error.ts'

/** A local file that goes along, and where the job finds it. */
export interface LocalInput {
  local: string
  path: string
  executable: boolean
}

/** Collects the local files that a command line names. */
export interface LocalFiles {
  /** Takes a file along; returns its path in the job. */
  add(word: string): string
  /** Takes a file, or a folder with all in it, along; throws a UsageError when there is none. Returns its path in the job. */
  take(word: string): string
  /** An argument as the job gets it: when it names a file or folder here, that goes along; so does the value of `--name=file`. */
  rewrite(arg: string): string
  /** What goes along, and what the user should know of it: a file that appears under another path. */
  result(): { inputs: LocalInput[]; notes: string[] }
}

/** As many as one job may have. */
const MAX_FILES = 1000
/** Never part of a folder that goes along: they hold history and secrets, not data. */
const LEFT_OUT = ['.git', RESERVED_FOLDER]

/** See the interface. Paths are read as a program started in `cwd` would; what lies outside is numbered from `firstNumber`. */
export function createLocalFiles(cwd: string, firstNumber = 1): LocalFiles {
  const inputs = new Map<string, LocalInput>()
  const moved = new Map<string, string>()
  const notes: string[] = []

  /** Where a file or folder appears: where it is, or below `inputs/` when it lies outside. */
  function placeOf(word: string, local: string): string {
    const path = relative(cwd, local)
    if (path === '') return ''
    if (path !== '..' && !path.startsWith('../') && pathFault(path) === undefined) return path
    const known = moved.get(local)
    if (known !== undefined) return known
    let number = firstNumber + moved.size
    while (find(join(cwd, 'inputs', String(number)))) number++
    const place = `inputs/${number}/${basename(local)}`
    const fault = pathFault(place)
    if (fault) throw new UsageError(`${JSON.stringify(word)} cannot go along: its path ${fault}`)
    moved.set(local, place)
    notes.push(`${word} lies outside this folder: the job finds it as ${place}`)
    return place
  }

  function put(local: string, path: string, mode: number): void {
    inputs.set(path, { local, path, executable: (mode & 0o111) !== 0 })
    if (inputs.size > MAX_FILES)
      throw new UsageError(`more than ${MAX_FILES} files would go along; name only what the job needs, pack a folder into an archive, or use --no-inputs`)
  }

  function addFolder(local: string, place: string): number {
    let count = 0
    for (const entry of listFolder(local)) {
      const [from, to] = [join(local, entry.name), place === '' ? entry.name : `${place}/${entry.name}`]
      if (LEFT_OUT.includes(entry.name)) continue
      if (entry.isDirectory()) count += addFolder(from, to)
      // A link to a file counts as the file. One to a folder could lead in circles.
      else if (find(from)?.isFile()) {
        const fault = pathFault(to)
        if (fault) throw new UsageError(`${JSON.stringify(from)} cannot go along: its path ${fault}`)
        put(from, to, find(from)?.mode ?? 0)
        count++
      }
    }
    return count
  }

  function add(word: string): string {
    const local = resolve(cwd, word)
    const place = placeOf(word, local)
    put(local, place, find(local)?.mode ?? 0)
    return place
  }

  function addAny(word: string): string | undefined {
    const local = resolve(cwd, word)
    const info = find(local)
    if (info?.isFile()) return add(word)
    // The root is no folder that anyone means to send: it is a separator, or a place in the image.
    if (!info?.isDirectory() || local === '/') return undefined
    const place = placeOf(word, local)
    if (addFolder(local, place) === 0) notes.push(`the folder ${word} holds no file: the job will not find it`)
    return place === '' ? '.' : place
  }

  return {
    add,
    take(word) {
      const place = addAny(word)
      if (place === undefined) throw new UsageError(`there is no file or folder ${word} here`)
      return place
    },
    rewrite(arg) {
      const option = /^(--?[^=]+=)(.+)$/s.exec(arg)
      const [prefix, word] = option ? [option[1] as string, option[2] as string] : ['', arg]
      const place = word === '' ? undefined : addAny(word)
      if (place === undefined) return arg
      // A path that means the same stays as it was written: `./a` is not `a` to every program.
      const same = !word.split('/').includes('..') && normalize(word).replace(/\/$/, '') === place
      return same ? arg : `${prefix}${place}`
    },
    result: () => ({ inputs: [...inputs.values()], notes }),
  }
}

/** Arguments that stay as they are, and take nothing along (`--no-inputs`); the script itself still goes. */
export function withoutArguments(files: LocalFiles): LocalFiles {
  return { ...files, rewrite: (arg) => arg }
}

/** What a path names, or undefined when nothing can be read there: an argument is often no path at all. */
export function find(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    // Too long for a name, behind a folder that may not be read, a circle of links: all of them no file of ours.
    return undefined
  }
}

function listFolder(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    throw new UsageError(`the folder ${path} cannot go along: ${(error as Error).message}`)
  }
}
