import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import type { BatchSpec } from '#core/batch.ts'
import type { JobSpec } from '#core/job/spec.ts'
import type { Command, OptionValues } from '../command.ts'
import { followBatch } from '../follow-batch.ts'
import { waitForJob } from '../follow-job.ts'
import { onlyArgument } from '../parse.ts'
import { SECRET_OPTION, secretsFromOptions } from '../spec-options.ts'
import { UsageError } from '../usage-error.ts'

/** `rgrid submit`. */
export const submitCommand: Command = {
  name: 'submit',
  usage: 'FILE',
  summary: 'Submits a Job or Batch document (YAML or JSON; - reads it from standard input) and prints its id.',
  options: {
    wait: { type: 'boolean', short: 'w', help: 'wait for the end: the exit code is the job’s, outputs stay there' },
    secret: SECRET_OPTION,
    json: { type: 'boolean', help: 'print the job or batch as JSON' },
  },
  async run({ client, print, at, defaults }, options, args) {
    const file = onlyArgument(args, 'file (- for standard input)')
    const document = withSecrets(readDocument(file === '-' ? 0 : resolve(at.cwd, file), file), options)
    const named: unknown = document.metadata?.project
    const project = typeof named === 'string' ? named : (defaults.project ?? (await client().project()))
    const params = { slug: project }
    const [json, waits] = [options.json === true, options.wait === true]
    if (isBatch(document)) {
      const batch = await client().call('POST /v1/projects/:slug/batches', { params, body: document })
      if (waits) return followBatch(client(), print, project, batch, { folders: undefined, flat: false, json, cancelFirst: false })
      if (json) print.json(batch)
      else print.out(batch.id)
      return 0
    }
    const job = await client().call('POST /v1/projects/:slug/jobs', { params, body: document })
    if (waits) return waitForJob(client(), print, job.id, { folder: undefined, flat: false, json, cancelFirst: false })
    if (json) print.json(job)
    else print.out(job.id)
    return 0
  },
}

/** What it is taken for: the gateway checks it, and says what is wrong where. */
type Document = JobSpec | BatchSpec

/** The document with the variables of `--secret` in its spec, or its template. */
function withSecrets(document: Document, options: OptionValues): Document {
  const secrets = secretsFromOptions(options)
  if (Object.keys(secrets).length === 0) return document
  if (isBatch(document)) return { ...document, template: { ...document.template, env: { ...document.template?.env, ...secrets } } }
  return { ...document, spec: { ...document.spec, env: { ...document.spec?.env, ...secrets } } }
}

function isBatch(document: Document): document is BatchSpec {
  return document.kind === 'Batch' || 'items' in document
}

function readDocument(path: number | string, name: string): Document {
  const document = parseText(readText(path, name), name)
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new UsageError(`${name} holds no Job or Batch document`)
  return document as Document
}

function readText(path: number | string, name: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${name} cannot be read: ${(error as Error).message}`)
  }
}

function parseText(source: string, name: string): unknown {
  try {
    return parse(source)
  } catch (error) {
    throw new UsageError(`${name} is no YAML or JSON: ${(error as Error).message}`)
  }
}
