import { resolve } from 'node:path'
import { interpreterForScript, runtimeForScript } from '#core/runtimes.ts'
import { createLocalFiles, find, type LocalInput, withoutArguments } from './local-files.ts'
import { UsageError } from './usage-error.ts'

/** What a command line means for a job: the command with its paths as the job sees them, and the files it needs. */
export interface Invocation {
  runtime: string | undefined
  command: string[]
  args: string[]
  inputs: LocalInput[]
  /** Things the user should know: a file that appears under another path. */
  notes: string[]
}

/** How a command line is read, beyond its words. */
export interface InvocationOptions {
  /** Files and folders that go along although no argument names them. */
  extraInputs?: readonly string[]
  /** Arguments take nothing along. */
  noInputs?: boolean
}

/** Reads a command line as a shell would run it in `cwd`. Throws UsageErrors. */
export function readInvocation(cwd: string, words: readonly string[], runtime: string | undefined, options: InvocationOptions = {}): Invocation {
  const [program, ...args] = words
  if (program === undefined || program === '') throw new UsageError('name a script: rgrid run SCRIPT [ARGS…]. See: rgrid run --help')
  const found = createLocalFiles(cwd)
  const files = options.noInputs ? withoutArguments(found) : found
  const start = isLocalScript(cwd, program) ? runScript(program, files.add(program), runtime) : runProgram(program, runtime)
  const rewritten = args.map((arg) => files.rewrite(arg))
  for (const extra of options.extraInputs ?? []) files.take(extra)
  return { ...start, args: rewritten, ...files.result() }
}

/** The path that the batch's file has in its job, with the upload it needs. From outside it is `inputs/0/…`: no argument has that. */
export function readItem(cwd: string, file: string): { arg: string; inputs: LocalInput[] } {
  const files = createLocalFiles(cwd, 0)
  return { arg: files.add(file), inputs: files.result().inputs }
}

/** How this machine runs the same command line: nothing is moved, so nothing is rewritten. Throws UsageErrors. */
export function localCommand(cwd: string, words: readonly string[]): [string, ...string[]] {
  const [program, ...args] = words
  if (program === undefined || program === '') throw new UsageError('name a script: rgrid run --local SCRIPT [ARGS…]')
  if (!isLocalScript(cwd, program)) return [program, ...args]
  const interpreter = interpreterForScript(program)
  return interpreter ? [interpreter, program, ...args] : [resolve(cwd, program), ...args]
}

/** A script is a file here with a known extension, or one that says by its mode or its path that it is to be run. */
function isLocalScript(cwd: string, program: string): boolean {
  const info = find(resolve(cwd, program))
  if (!info?.isFile()) return false
  if (runtimeForScript(program)) return true
  // `/bin/sh` means the one of the image, and so does a bare name that is no program here.
  if (program.startsWith('/')) return false
  const executable = (info.mode & 0o111) !== 0
  if (!executable && program.includes('/')) throw new UsageError(`${program} is not executable; run: chmod +x ${program}`)
  return executable
}

function runScript(script: string, path: string, runtime: string | undefined) {
  const found = runtime ?? runtimeForScript(script)
  if (found === undefined) throw new UsageError(`which runtime is ${script} for? Name it: --runtime python:3.11, node:24, bash, or an image`)
  const interpreter = interpreterForScript(script)
  return { runtime: found, command: interpreter ? [interpreter, path] : [`./${path}`] }
}

function runProgram(program: string, runtime: string | undefined) {
  if (runtimeForScript(program)) throw new UsageError(`there is no file ${program} here`)
  if (runtime === undefined)
    throw new UsageError(`${program} is no script here; to run a program of an image, name it: rgrid run --runtime ffmpeg:latest ${program} …`)
  return { runtime, command: [program] }
}

/** `requirements.txt` beside a Python script, unless another was named. */
export function findRequirements(cwd: string, words: readonly string[], named: string | undefined): string | undefined {
  if (named !== undefined) {
    if (!find(resolve(cwd, named))?.isFile()) throw new UsageError(`--requirements: there is no file ${named}`)
    return resolve(cwd, named)
  }
  const script = words[0] ?? ''
  const beside = resolve(cwd, script, '..', 'requirements.txt')
  return script.endsWith('.py') && find(beside)?.isFile() ? beside : undefined
}
