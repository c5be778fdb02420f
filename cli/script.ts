import { existsSync, globSync, statSync } from 'node:fs'
import { basename, join, normalize, relative, resolve } from 'node:path'
import { pathFault } from '#core/job/path.ts'
import { interpreterForScript, runtimeForScript } from '#core/runtimes.ts'
import { UsageError } from './usage-error.ts'

/** A local file that goes along, and where the job finds it. */
export interface LocalInput {
  local: string
  path: string
  executable: boolean
}

/** What a command line means for a job: the command with its paths as the job sees them, and the files it needs. */
export interface Invocation {
  runtime: string | undefined
  command: string[]
  args: string[]
  inputs: LocalInput[]
  /** Things the user should know: a file that appears under another path. */
  notes: string[]
}

const MAX_FILES = 1000

/** Reads a command line as a shell would run it in `cwd`. Throws UsageErrors. */
export function readInvocation(cwd: string, words: readonly string[], runtime: string | undefined): Invocation {
  const [program, ...args] = words
  if (program === undefined) throw new UsageError('name a script: rgrid run SCRIPT [ARGS…]. See: rgrid run --help')
  const files = createFiles(cwd)
  const script = isFile(join(cwd, program)) || (program.startsWith('/') && isFile(program)) ? program : undefined
  if (script === undefined) {
    if (runtimeForScript(program)) throw new UsageError(`there is no file ${program} here`)
    if (runtime === undefined)
      throw new UsageError(`${program} is no file here; to run a program of an image, name it: rgrid run --runtime ffmpeg:latest ${program} …`)
    return { runtime, command: [program], args: args.map((arg) => files.rewrite(arg)), ...files.result() }
  }
  const path = files.add(script)
  const interpreter = interpreterForScript(script)
  const found = runtime ?? runtimeForScript(script)
  if (found === undefined) throw new UsageError(`which runtime is ${script} for? Name it: --runtime python:3.11, node:24, bash, or an image`)
  const command = interpreter ? [interpreter, path] : [`./${path}`]
  return { runtime: found, command, args: args.map((arg) => files.rewrite(arg)), ...files.result() }
}

/** The path that the batch's file has in its job, with the upload it needs. */
export function readItem(cwd: string, file: string): { arg: string; inputs: LocalInput[] } {
  const files = createFiles(cwd)
  return { arg: files.add(file), inputs: files.result().inputs }
}

/** `requirements.txt` beside a Python script, unless another was named. */
export function findRequirements(cwd: string, words: readonly string[], named: string | undefined): string | undefined {
  if (named !== undefined) {
    if (!isFile(resolve(cwd, named))) throw new UsageError(`--requirements: there is no file ${named}`)
    return resolve(cwd, named)
  }
  const script = words[0] ?? ''
  const beside = resolve(cwd, script, '..', 'requirements.txt')
  return script.endsWith('.py') && existsSync(beside) ? beside : undefined
}

function createFiles(cwd: string) {
  const inputs = new Map<string, LocalInput>()
  const notes: string[] = []
  let outside = 0

  function add(word: string): string {
    const local = resolve(cwd, word)
    const path = relative(cwd, local)
    if (path !== '..' && !path.startsWith('../') && path !== '' && pathFault(path) === undefined) {
      inputs.set(path, { local, path, executable: isExecutable(local) })
      return path
    }
    const moved = `inputs/${++outside}/${basename(local)}`
    inputs.set(moved, { local, path: moved, executable: isExecutable(local) })
    notes.push(`${word} lies outside this folder: the job finds it as ${moved}`)
    return moved
  }

  function addFolder(word: string): void {
    const folder = relative(cwd, resolve(cwd, word))
    if (folder === '' || folder === '..' || folder.startsWith('../')) return
    const found = globSync('**', { cwd: join(cwd, folder) })
      .map((name) => join(folder, name))
      .filter((path) => isFile(join(cwd, path)))
    if (inputs.size + found.length > MAX_FILES) throw new UsageError(`the folder ${word} holds more than ${MAX_FILES} files; pack them into an archive first`)
    for (const path of found) if (pathFault(normalize(path)) === undefined) add(path)
  }

  /** An argument that names a file or folder takes it along; so does the value of `--name=file`. */
  function rewrite(arg: string): string {
    const option = /^(--?[^=]+=)(.+)$/.exec(arg)
    const [prefix, word] = option ? [option[1] as string, option[2] as string] : ['', arg]
    if (word === '' || word.includes('\u0000')) return arg
    const info = statSync(resolve(cwd, word), { throwIfNoEntry: false })
    if (info?.isFile()) {
      const path = add(word)
      // A path that means the same stays as it was written: `./a` is not `a` to every program.
      return normalize(word) === path ? arg : `${prefix}${path}`
    }
    if (info?.isDirectory()) addFolder(word)
    return arg
  }

  return { add, rewrite, result: () => ({ inputs: [...inputs.values()], notes }) }
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false
}

function isExecutable(path: string): boolean {
  return ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o111) !== 0
}
