import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import type { BatchView, JobView } from '#core/api.ts'
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
    const named = (document.metadata as { project?: unknown } | null | undefined)?.project
    const project = typeof named === 'string' ? named : (defaults.project ?? (await client().project()))
    const address = `/v1/projects/${encodeURIComponent(project)}`
    const [json, waits] = [options.json === true, options.wait === true]
    if (isBatch(document)) {
      const batch = await client().post<BatchView>(`${address}/batches`, document)
      if (waits) return followBatch(client(), print, project, batch, { folders: undefined, flat: false, json, cancelFirst: false })
      if (json) print.json(batch)
      else print.out(batch.id)
      return 0
    }
    const job = await client().post<JobView>(`${address}/jobs`, document)
    if (waits) return waitForJob(client(), print, job.id, { folder: undefined, flat: false, json, cancelFirst: false })
    if (json) print.json(job)
    else print.out(job.id)
    return 0
  },
}

/** What the command line itself looks at; the gateway checks the rest, and says what is wrong where. */
interface Document {
  kind?: unknown
  items?: unknown
  metadata?: unknown
  spec?: unknown
  template?: unknown
}

/** The document with the variables of `--secret` in its spec, or its template. */
function withSecrets(document: Document, options: OptionValues): Document {
  const secrets = secretsFromOptions(options)
  if (Object.keys(secrets).length === 0) return document
  const field = isBatch(document) ? 'template' : 'spec'
  const spec = (document[field] ?? {}) as { env?: object | null }
  return { ...document, [field]: { ...spec, env: { ...spec.env, ...secrets } } }
}

function isBatch(document: Document): boolean {
  return document.kind === 'Batch' || document.items !== undefined
}

function readDocument(path: number | string, name: string): Document {
  const document = parseText(readText(path, name), name)
  if (typeof document !== 'object' || document === null || Array.isArray(document)) throw new UsageError(`${name} holds no Job or Batch document`)
  return document
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
