import type { Issue } from '../errors.ts'
import { findRuntime, type Runtime, type RuntimeTable, runtimeForScript } from '../runtimes.ts'
import { conflictingPaths, pathFault } from './path.ts'
import { parseBytes, parseCpuMillis } from './quantity.ts'
import type { Env, InputFile, OutputFile, Spec } from './spec.ts'

const MI = 2 ** 20
const TI = 2 ** 40
const MAX_ENV_AND_ARGS_BYTES = 512 * 1024

/** A job with every default filled in and every quantity a number: what is stored and sent to a node. */
export interface ResolvedSpec {
  /** The named runtime, or null when `image` was given as an image reference. */
  runtime: string | null
  image: string
  /** The program and its arguments; null: the image's own entrypoint. */
  command: string[] | null
  args: string[]
  env: Record<string, string>
  /** The variables that hold secrets of the project, and the names of those. Absent in jobs of before there were any. */
  secretEnv?: Record<string, string>
  /** The variables whose values are secret; null: those whose names say so (core/job/secret-values.ts). */
  maskEnv: string[] | null
  /** Inline source and the file name it is written to. */
  code: { file: string; source: string } | null
  requirements: string | null
  inputs: InputFile[]
  /** null: everything new or changed. */
  outputs: Required<OutputFile>[] | null
  cpuMillis: number
  memoryBytes: number
  diskBytes: number
  /** One slot for each CPU begun. */
  slots: number
  timeoutSeconds: number
  prepareTimeoutSeconds: number
  maxQueueSeconds: number | null
  gracePeriodSeconds: number
  network: boolean
  retries: number
  backoff: { initialSeconds: number; factor: number; maxSeconds: number }
  retryOn: { exitCodes: number[] | null; oom: boolean; timeout: boolean }
  priority: number
  /** RFC 3339, UTC. */
  notBefore: string | null
  /** Is called when the job has ended; nodes are not told. */
  webhook: { url: string } | null
}

/**
 * Fills in the defaults of a spec that its schema has accepted, and checks what a schema cannot say. Each fault is
 * added to `issues` with its path below `at`; the result is meaningful only when none was added.
 */
export function resolveSpec(spec: Spec, runtimes: RuntimeTable, issues: Issue[], at = 'spec'): ResolvedSpec {
  const fault = (path: string, message: string) => issues.push({ path: `${at}.${path}`, message })
  const { runtime, name, image } = resolveRuntime(spec, runtimes, fault)
  const cpuMillis = quantity(spec.resources?.cpu ?? '1', parseCpuMillis, 50, 64_000, 'a number of CPUs such as "1" or "500m", from 0.05 to 64', (m) =>
    fault('resources.cpu', m),
  )
  const memoryBytes = quantity(spec.resources?.memory ?? '512Mi', parseBytes, 16 * MI, TI, 'an amount such as "512Mi" or "2Gi", from 16Mi to 1Ti', (m) =>
    fault('resources.memory', m),
  )
  const diskBytes = quantity(spec.resources?.disk ?? '2Gi', parseBytes, 16 * MI, TI, 'an amount such as "2Gi", from 16Mi to 1Ti', (m) =>
    fault('resources.disk', m),
  )
  const inputs = spec.files?.inputs ?? []
  const outputs = spec.files?.outputs?.map((output) => ({ type: 'file' as const, ...output })) ?? null
  const code = spec.code == null ? null : { file: runtime?.codeFile ?? 'main.py', source: spec.code }
  checkPaths(inputs, outputs, code?.file, fault)
  checkCommand(spec, runtime, fault)
  checkText(spec, fault)
  if (spec.requirements != null && name !== null && !name.startsWith('python:')) fault('requirements', `Python requirements need a python runtime, not ${name}`)

  return {
    runtime: name,
    image,
    command: spec.command ?? (code && runtime ? [...runtime.interpreter, code.file] : null),
    args: spec.args ?? [],
    ...resolveEnv(runtime, spec.env ?? {}),
    maskEnv: spec.maskEnv ?? null,
    code,
    requirements: spec.requirements ?? null,
    inputs,
    outputs,
    cpuMillis,
    memoryBytes,
    diskBytes,
    slots: Math.max(1, Math.ceil(cpuMillis / 1000)),
    timeoutSeconds: spec.timeoutSeconds ?? 3600,
    prepareTimeoutSeconds: spec.prepareTimeoutSeconds ?? 600,
    maxQueueSeconds: spec.maxQueueSeconds ?? null,
    gracePeriodSeconds: spec.gracePeriodSeconds ?? 10,
    network: spec.network ?? false,
    retries: spec.retries ?? 0,
    backoff: { initialSeconds: 1, factor: 2, maxSeconds: 300, ...spec.backoff },
    retryOn: { exitCodes: null, oom: true, timeout: true, ...spec.retryOn },
    priority: spec.priority ?? 0,
    notBefore: instant(spec.notBefore ?? null, fault),
    webhook: spec.webhook ?? null,
  }
}

type Fault = (path: string, message: string) => void

/** Texts and names of secrets apart, so that what is stored and shown of a job never has a place for a value. */
function resolveEnv(runtime: Runtime | undefined, env: Env): { env: Record<string, string>; secretEnv: Record<string, string> } {
  const entries = Object.entries(env)
  const texts = entries.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value] as const] : []))
  const secretEnv = entries.flatMap(([name, value]) => (typeof value === 'string' ? [] : [[name, value.secret] as const]))
  const secrets = new Set(secretEnv.map(([name]) => name))
  const ofRuntime = Object.entries(runtime?.env ?? {}).filter(([name]) => !secrets.has(name))
  return { env: Object.fromEntries([...ofRuntime, ...texts]), secretEnv: Object.fromEntries(secretEnv) }
}

function resolveRuntime(spec: Spec, runtimes: RuntimeTable, fault: Fault): { runtime?: Runtime; name: string | null; image: string } {
  const wanted = spec.runtime ?? guessRuntime(spec)
  if (wanted === undefined) {
    fault('runtime', 'is required: name a runtime such as python:3.11, or an image; it could not be told from a script’s extension')
    return { name: null, image: '' }
  }
  const found = findRuntime(runtimes, wanted)
  if (found) return { runtime: found.runtime, name: found.name, image: found.runtime.image }
  if (!IMAGE_REFERENCE.test(wanted)) fault('runtime', 'is neither a named runtime nor an image reference such as docker.io/library/alpine:3.20')
  return { name: null, image: wanted }
}

// The grammar of https://pkg.go.dev/github.com/distribution/reference, without its length rules.
const IMAGE_REFERENCE =
  /^(?:[a-z0-9][A-Za-z0-9.-]*(?::\d+)?\/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/

function guessRuntime(spec: Spec): string | undefined {
  for (const word of [...(spec.command ?? []), ...(spec.args ?? [])]) {
    const runtime = runtimeForScript(word)
    if (runtime) return runtime
  }
  return spec.code == null ? undefined : 'python:3.11'
}

function quantity(
  value: string | number,
  parse: (value: string | number) => number | undefined,
  min: number,
  max: number,
  expected: string,
  fault: (message: string) => void,
): number {
  const parsed = parse(value)
  if (parsed === undefined || parsed < min || parsed > max) {
    fault(`must be ${expected}`)
    return min
  }
  return parsed
}

function checkPaths(inputs: InputFile[], outputs: Required<OutputFile>[] | null, codeFile: string | undefined, fault: Fault): void {
  inputs.forEach((input, index) => {
    const problem = pathFault(input.path)
    if (problem) fault(`files.inputs.${index}.path`, problem)
    if ((input.url === undefined) === (input.file === undefined)) fault(`files.inputs.${index}`, 'needs exactly one of url and file')
    if (input.url === undefined) return
    const urlProblem = textFault(input.url) ?? (URL.canParse(input.url) ? undefined : 'is not a URL')
    if (urlProblem) fault(`files.inputs.${index}.url`, urlProblem)
  })
  outputs?.forEach((output, index) => {
    const problem = pathFault(output.path)
    if (problem) fault(`files.outputs.${index}.path`, problem)
  })
  const paths = inputs.map((input) => input.path)
  const conflict = conflictingPaths(codeFile === undefined ? paths : [codeFile, ...paths])
  if (conflict)
    fault(
      'files.inputs',
      conflict[0] === conflict[1] ? `the path ${conflict[0]} is used twice` : `${conflict[0]} cannot be a file and the folder of ${conflict[1]}`,
    )
}

function checkCommand(spec: Spec, runtime: Runtime | undefined, fault: Fault): void {
  if (spec.command?.[0] === '') fault('command.0', 'must not be empty')
  if (spec.command === undefined && spec.code == null && runtime) fault('command', 'is required, unless there is code')
  if (spec.command === undefined && spec.code != null && !runtime) fault('command', 'is required with code when the runtime is an image reference')
}

function checkText(spec: Spec, fault: Fault): void {
  let bytes = 0
  const check = (path: string, text: string) => {
    bytes += Buffer.byteLength(text) + 1
    const problem = textFault(text)
    if (problem) fault(path, problem)
  }
  for (const [index, word] of (spec.command ?? []).entries()) check(`command.${index}`, word)
  for (const [index, word] of (spec.args ?? []).entries()) check(`args.${index}`, word)
  for (const [key, value] of Object.entries(spec.env ?? {})) {
    if (key.startsWith('RGRID_')) fault(`env.${key}`, 'names beginning with RGRID_ are reserved')
    bytes += key.length
    if (typeof value === 'string') check(`env.${key}`, value)
  }
  if (bytes > MAX_ENV_AND_ARGS_BYTES)
    fault('env', `env, command and args are ${bytes} bytes together; at most ${MAX_ENV_AND_ARGS_BYTES} fit, put larger data into a file`)
  for (const field of ['code', 'requirements'] as const) {
    const problem = textFault(spec[field] ?? '')
    if (problem) fault(field, problem)
  }
}

/** What neither a process nor Postgres takes as text. */
function textFault(text: string): string | undefined {
  if (text.includes('\u0000')) return 'must not hold NUL'
  if (!text.isWellFormed()) return 'must be well-formed Unicode; it holds half of a surrogate pair'
  return undefined
}

function instant(value: string | null, fault: Fault): string | null {
  if (value === null) return null
  const ms = Date.parse(value)
  if (Number.isNaN(ms)) {
    fault('notBefore', 'is not a time')
    return null
  }
  return new Date(ms).toISOString()
}
