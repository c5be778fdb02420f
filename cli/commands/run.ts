import { basename, resolve } from 'node:path'
import { API_VERSION, type InputFile, type JobSpec, type Spec } from '#core/job/spec.ts'
import { type Command, type Context, list, type Option, type OptionValues, text } from '../command.ts'
import { waitForJob } from '../follow-job.ts'
import { runHere } from '../run-here.ts'
import { RUN_SPEC_OPTIONS, readRunSpec } from '../run-spec.ts'
import type { Invocation } from '../script.ts'
import { labelsFromOptions, specFromOptions } from '../spec-options.ts'
import { uploadInputs } from '../upload.ts'
import { UsageError } from '../usage-error.ts'
import { runBatch } from './run-batch.ts'

const OPTIONS: Readonly<Record<string, Option>> = {
  ...RUN_SPEC_OPTIONS,
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
  async run(context, options, words) {
    refuseTogether(options)
    if (options.local === true) {
      const { env } = specFromOptions(options, context.defaults, context.at.cwd, context.at.env)
      return runHere(context.at.cwd, words, env as Record<string, string> | undefined)
    }
    const { spec, invocation } = readRunSpec(context, options, words)
    for (const note of invocation.notes) context.print.say(`note: ${note}`)
    if (list(options, 'batch').length > 0) return runBatch(context, options, spec, invocation)
    return runOne(context, options, spec, invocation)
  },
}

/** Options that say nothing together are refused, so that none is silently without effect. */
function refuseTogether(options: OptionValues): void {
  const given = (name: string) => options[name] !== undefined
  for (const name of ['parallel', 'max-failures']) if (given(name) && !given('batch')) throw new UsageError(`--${name} goes with --batch`)
  for (const name of ['batch', 'detach', 'dry-run', 'json', 'secret'])
    if (given('local') && given(name)) throw new UsageError(`--local runs the script here, once; it does not go with --${name}`)
  for (const name of ['output-dir', 'flat'])
    if (given(name) && given('remote-only')) throw new UsageError(`--remote-only brings nothing; it does not go with --${name}`)
}

async function runOne(context: Context, options: OptionValues, spec: Spec, invocation: Invocation): Promise<number> {
  const { print, at } = context
  const name = text(options, 'name') ?? nameFor(invocation)
  const labels = labelsFromOptions(options)
  const document = (inputs: InputFile[]): JobSpec => ({
    apiVersion: API_VERSION,
    kind: 'Job',
    metadata: { ...(name === '' ? {} : { name }), labels },
    spec: { ...spec, ...(inputs.length > 0 ? { files: { inputs } } : {}) },
  })
  if (options['dry-run'] === true) {
    print.out(JSON.stringify(document(invocation.inputs.map(({ path }) => ({ path, file: 'uploaded at submit' }))), null, 2))
    return 0
  }
  const client = context.client()
  const project = context.defaults.project ?? (await client.project())
  const inputs = await uploadInputs(client, print, project, invocation.inputs)
  const job = await client.call('POST /v1/projects/:slug/jobs', { params: { slug: project }, body: document(inputs) })
  if (options.detach === true) {
    if (options.json === true) print.json(job)
    else print.out(job.id)
    return 0
  }
  return waitForJob(client, print, job.id, {
    folder: options['remote-only'] === true ? undefined : resolve(at.cwd, text(options, 'output-dir') ?? '.'),
    flat: options.flat === true,
    json: options.json === true,
    cancelFirst: options['cancel-on-interrupt'] === true,
  })
}

/** The script's name as a job may be named; empty when nothing of it is left. */
function nameFor(invocation: Invocation): string {
  return basename(invocation.command.at(-1) ?? '')
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .slice(0, 128)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '')
}
