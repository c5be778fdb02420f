import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import type { ArtifactView, CancelResult, JobView, LogEnd } from '#core/api.ts'
import { exitStatus } from '#core/job/outcome.ts'
import { API_VERSION, type InputFile, type JobSpec, type Spec } from '#core/job/spec.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, list, type Option, type OptionValues, text } from '../command.ts'
import { followJob } from '../follow.ts'
import { findRequirements, type Invocation, type LocalInput, readInvocation } from '../script.ts'
import { labelsFromOptions, SPEC_OPTIONS, specFromOptions } from '../spec-options.ts'
import { createOutput } from '../stream-output.ts'
import { downloadArtifact, inParallel, placeFor, uploadFile } from '../transfer.ts'
import { UsageError } from '../usage-error.ts'
import { runBatch } from './run-batch.ts'

const OPTIONS: Readonly<Record<string, Option>> = {
  ...SPEC_OPTIONS,
  requirements: { type: 'string', value: 'FILE', help: 'Python requirements; requirements.txt beside the script is taken by itself' },
  name: { type: 'string', help: 'a name for the job' },
  label: { type: 'string', value: 'K=V', multiple: true, help: 'a label to find it by; repeatable' },
  batch: { type: 'string', value: 'GLOB', multiple: true, help: 'one job for each file; the file takes the place of {}, or comes last' },
  parallel: { type: 'string', value: 'N', help: 'with --batch: so many at once' },
  'max-failures': { type: 'string', value: 'N', help: 'with --batch: cancel the rest after N failed jobs' },
  'output-dir': { type: 'string', value: 'DIR', help: 'where outputs go: here, or ./outputs with --batch' },
  flat: { type: 'boolean', help: 'outputs without their folders' },
  'remote-only': { type: 'boolean', help: 'leave outputs there; rgrid download brings them' },
  detach: { type: 'boolean', short: 'd', help: 'submit, print the id, do not wait' },
  'cancel-on-interrupt': { type: 'boolean', help: 'Ctrl-C cancels the job instead of detaching' },
  json: { type: 'boolean', help: 'print the job as one JSON document at the end (a line a job with --batch)' },
  'dry-run': { type: 'boolean', help: 'print the Job document, submit nothing' },
  local: { type: 'boolean', help: 'run it on this machine, without RGrid' },
}

const DETAILS = `Arguments that name files are uploaded and appear under the same path. Everything after -- goes to the script untouched.
The exit code is the job's; 124 timed out, 130 cancelled or detached, 137 out of memory, 125 could not be run.

Examples:
  rgrid run process.py input.json
  rgrid run --env LEVEL=debug --memory 2Gi train.py -- --epochs 3
  rgrid run thumbnail.sh --runtime ffmpeg:latest --batch 'images/*.png' --parallel 4`

/** `rgrid run`: a script there as if it ran here. */
export const runCommand: Command = {
  name: 'run',
  usage: 'SCRIPT [ARGS…] [OPTIONS] [-- ARGS…]',
  summary: 'Runs a script or program there as if it ran here: same files, same output, same exit code.',
  options: OPTIONS,
  details: DETAILS,
  async run(context, options, args) {
    const { cwd } = context.at
    const words = args
    if (options.local === true) return runHere(cwd, words, specFromOptions(options, context.defaults, cwd, context.at.env).env ?? {})
    const invocation = readInvocation(cwd, words, text(options, 'runtime') ?? context.defaults.runtime)
    const requirements = findRequirements(cwd, words, text(options, 'requirements'))
    const spec: Spec = {
      runtime: invocation.runtime ?? '',
      command: invocation.command,
      args: invocation.args,
      ...specFromOptions(options, context.defaults, cwd, context.at.env),
      ...(requirements === undefined ? {} : { requirements: readFileSync(requirements, 'utf8') }),
    }
    for (const note of invocation.notes) context.print.say(`note: ${note}`)
    if (list(options, 'batch').length > 0) return runBatch(context, options, spec, invocation)
    for (const name of ['parallel', 'max-failures']) if (options[name] !== undefined) throw new UsageError(`--${name} goes with --batch`)
    return runOne(context, options, spec, invocation)
  },
}

async function runOne(context: Context, options: OptionValues, spec: Spec, invocation: Invocation): Promise<number> {
  const { print, at } = context
  const name =
    text(options, 'name') ??
    basename(invocation.command.at(-1) ?? 'job')
      .replaceAll(/[^A-Za-z0-9._-]/g, '-')
      .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
  const document = (inputs: InputFile[]): JobSpec => ({
    apiVersion: API_VERSION,
    kind: 'Job',
    metadata: { ...(name === '' ? {} : { name }), labels: labelsFromOptions(options) },
    spec: { ...spec, ...(inputs.length > 0 ? { files: { inputs } } : {}) },
  })
  if (options['dry-run'] === true) {
    print.out(JSON.stringify(document(invocation.inputs.map(({ path }) => ({ path, file: 'uploaded at submit' }))), null, 2))
    return 0
  }
  const client = context.client()
  const project = context.defaults.project ?? (await client.project())
  const inputs = await uploadInputs(context, client, project, invocation.inputs)
  const job = await client.post<JobView>(`/v1/projects/${project}/jobs`, document(inputs))
  if (options.detach === true) {
    if (options.json === true) print.json(job)
    else print.out(job.id)
    return 0
  }
  const end = await followOrDetach(context, client, job.id, options['cancel-on-interrupt'] === true, options.json === true)
  if (end === 'detached') return 130
  for (const warning of end.warnings) print.say(print.colour('yellow', `warning: ${warning}`))
  if (options['remote-only'] !== true) await fetchOutputs(client, job.id, resolve(at.cwd, text(options, 'output-dir') ?? '.'), options.flat === true)
  if (options.json === true) print.json(await client.get(`/v1/jobs/${job.id}`))
  if (end.state !== 'succeeded') print.say(print.colour('red', `${job.id} ${end.state}: ${describeEnd(end)}`))
  return exitStatus(end)
}

/** Uploads local files, as inputs of a job. */
export async function uploadInputs(context: Context, client: Client, project: string, inputs: readonly LocalInput[]): Promise<InputFile[]> {
  let sent = 0
  const files = await inParallel(inputs, 4, async ({ local, path, executable }): Promise<InputFile> => {
    const uploaded = await uploadFile(client, project, local)
    if (uploaded.sent) sent++
    return { path, file: uploaded.fileId, ...(executable ? { executable } : {}) }
  })
  if (context.print.isTerminal) context.print.say(context.print.colour('dim', `${files.length} files: ${sent} uploaded, ${files.length - sent} already there`))
  return files
}

/** Follows a job until it ends. Ctrl-C once detaches (or cancels), twice cancels. */
async function followOrDetach(context: Context, client: Client, jobId: string, cancelOnInterrupt: boolean, quiet: boolean): Promise<LogEnd | 'detached'> {
  const { print } = context
  const detached = new AbortController()
  let cancelled = false
  const cancel = () => {
    cancelled = true
    print.say(`cancelling ${jobId} …`)
    client.post<CancelResult>(`/v1/jobs/${jobId}/cancel`).catch((error: Error) => print.say(error.message))
  }
  const onInterrupt = () => {
    if (cancelOnInterrupt && !cancelled) cancel()
    else detached.abort()
  }
  process.on('SIGINT', onInterrupt)
  const output = createOutput(print)
  try {
    return await followJob(client, jobId, quiet ? { ...output, chunk: async () => undefined } : output, detached.signal)
  } catch (error) {
    if (!detached.signal.aborted) throw error
    print.say(`\ndetached; ${jobId} goes on. Come back: rgrid logs -f ${jobId}   outputs: rgrid download ${jobId}   end it: rgrid cancel ${jobId}`)
    return 'detached'
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

/** Brings the outputs of a job into a folder. Returns how many there were. */
export async function fetchOutputs(client: Client, jobId: string, folder: string, flat: boolean): Promise<number> {
  const { items } = await client.get<{ items: ArtifactView[] }>(`/v1/jobs/${jobId}/artifacts`)
  const paths = items.map((artifact) => (flat ? basename(artifact.path) : artifact.path))
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) throw new UsageError(`--flat: two outputs would be ${twice}; leave --flat out`)
  if (items.length > 0) await mkdir(folder, { recursive: true })
  await inParallel(items, 4, async (artifact) => downloadArtifact(client, artifact, await placeFor(folder, flat ? basename(artifact.path) : artifact.path)))
  return items.length
}

/** How a job ended, in words. */
export function describeEnd(end: Pick<LogEnd, 'cause' | 'exitCode' | 'message'>): string {
  const what = end.cause === 'exit' ? `exit code ${end.exitCode}` : (end.cause ?? 'no cause')
  return end.message ? `${what}: ${end.message}` : what
}

function runHere(cwd: string, words: string[], env: Record<string, string>): Promise<number> {
  const { command, args } = readInvocation(cwd, words, 'local')
  const { promise, resolve: done, reject } = Promise.withResolvers<number>()
  const [program, ...rest] = [...command, ...args] as [string, ...string[]]
  const child = spawn(program, rest, { cwd, stdio: 'inherit', env: { ...process.env, ...env } })
  child.on('error', (error) => reject(new UsageError(`${program} cannot be started here: ${error.message}`)))
  child.on('exit', (code, signal) => done(signal ? 128 + 15 : (code ?? 1)))
  return promise
}
