import { type Static, Type } from '@sinclair/typebox'

/** A named runtime: the image it stands for and how inline code or a script is run in it. */
export interface Runtime {
  /** Image reference; an installation can override it (see `withOverrides`). */
  image: string
  /** The command that runs a script file, e.g. `['python']`. */
  interpreter: readonly string[]
  /** File name that inline `spec.code` is written to. */
  codeFile: string
  /** Set in every job of this runtime, below the job's own `env`. */
  env: Readonly<Record<string, string>>
}

/** The named runtimes by name. */
export type RuntimeTable = Readonly<Record<string, Runtime>>

// A pipe makes Python buffer its output in blocks: without this a line shows minutes after it was printed.
const PYTHON_ENV = { PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' }

function python(image: string): Runtime {
  return { image, interpreter: ['python'], codeFile: 'main.py', env: PYTHON_ENV }
}

function node(image: string): Runtime {
  return { image, interpreter: ['node'], codeFile: 'main.mjs', env: {} }
}

/** The table of named runtimes (docs/JOB_SPEC.md lists it). */
export const RUNTIMES: RuntimeTable = {
  'python:3.10': python('docker.io/library/python:3.10-slim'),
  'python:3.11': python('docker.io/library/python:3.11-slim'),
  'python:3.12': python('docker.io/library/python:3.12-slim'),
  'python:3.13': python('docker.io/library/python:3.13-slim'),
  'python:3.11-datascience': python('docker.io/rgrid/python:3.11-datascience'),
  'python:3.11-llm': python('docker.io/rgrid/python:3.11-llm'),
  'node:20': node('docker.io/library/node:20-slim'),
  'node:22': node('docker.io/library/node:22-slim'),
  'node:24': node('docker.io/library/node:24-slim'),
  'ffmpeg:latest': { image: 'docker.io/rgrid/ffmpeg:latest', interpreter: ['bash'], codeFile: 'main.sh', env: PYTHON_ENV },
  bash: { image: 'docker.io/library/debian:bookworm-slim', interpreter: ['bash'], codeFile: 'main.sh', env: {} },
}

const ALIASES: Readonly<Record<string, string>> = { python: 'python:3.11', node: 'node:24', ffmpeg: 'ffmpeg:latest' }

const RUNTIME_BY_EXTENSION: Readonly<Record<string, string>> = {
  '.py': 'python:3.11',
  '.js': 'node:24',
  '.mjs': 'node:24',
  '.ts': 'node:24',
  '.sh': 'bash',
}

const INTERPRETER_BY_EXTENSION: Readonly<Record<string, string>> = {
  '.py': 'python',
  '.js': 'node',
  '.mjs': 'node',
  '.ts': 'node',
  '.sh': 'bash',
}

/** An installation's own images: runtime name → image reference (private mirror, air gap). */
export const RuntimeOverrides = Type.Record(Type.String(), Type.String({ minLength: 1 }))

/** The table with the images that an installation overrides. A name the table lacks becomes a plain runtime. */
export function withOverrides(table: RuntimeTable, overrides: Static<typeof RuntimeOverrides>): RuntimeTable {
  const result: Record<string, Runtime> = { ...table }
  for (const [name, image] of Object.entries(overrides)) {
    const known = result[name]
    result[name] = known ? { ...known, image } : { image, interpreter: ['sh'], codeFile: 'main.sh', env: {} }
  }
  return result
}

/** The runtime of this name or alias, or undefined when the name is none (then it is an image reference). */
export function findRuntime(table: RuntimeTable, name: string): { name: string; runtime: Runtime } | undefined {
  const canonical = ALIASES[name] ?? name
  const runtime = table[canonical]
  return runtime ? { name: canonical, runtime } : undefined
}

/** The runtime name that a script's extension asks for, or undefined. */
export function runtimeForScript(path: string): string | undefined {
  return RUNTIME_BY_EXTENSION[extension(path)]
}

/** The program that runs a script of this extension (`python`, `node`, `bash`), or undefined. */
export function interpreterForScript(path: string): string | undefined {
  return INTERPRETER_BY_EXTENSION[extension(path)]
}

function extension(path: string): string {
  const match = /\.[a-z]+$/.exec(path)
  return match ? match[0] : ''
}
