import { join, resolve } from 'node:path'
import { type BatchItem, type BatchSpec, MAX_BATCH_ITEMS } from '#core/batch.ts'
import { API_VERSION, type InputFile, Name, type Spec } from '#core/job/spec.ts'
import { argumentsFor, findBatchFiles, unquotedHint } from '../batch-files.ts'
import { type Context, list, type OptionValues, text } from '../command.ts'
import { parseCount } from '../duration.ts'
import { followBatch } from '../follow-batch.ts'
import type { LocalInput } from '../local-files.ts'
import { outputFolders } from '../output-folder.ts'
import { type Invocation, readItem } from '../script.ts'
import { labelsFromOptions } from '../spec-options.ts'
import { uploadInputs } from '../upload.ts'

const JOB_NAME = new RegExp(Name.pattern as string)

interface Item {
  name: string
  arg: string
  inputs: LocalInput[]
}

/** `rgrid run --batch`: one job for each file, so many at once; outputs are brought as each job ends. */
export async function runBatch(context: Context, options: OptionValues, template: Spec, invocation: Invocation): Promise<number> {
  const { print, at } = context
  const patterns = list(options, 'batch')
  const files = findBatchFiles(at.cwd, patterns)
  const hint = unquotedHint(at.cwd, patterns, template.args ?? [])
  if (hint) print.say(`note: ${hint}`)
  const names = outputFolders(files)
  const items = files.map((file, index): Item => ({ name: names[index] as string, ...readItem(at.cwd, file) }))
  const toDocument = documentMaker(options, template, invocation, items)
  if (options['dry-run'] === true) {
    print.out(
      JSON.stringify(
        toDocument(({ path }) => ({ path, file: 'uploaded at submit' })),
        null,
        2,
      ),
    )
    return 0
  }
  const client = context.client()
  const project = context.defaults.project ?? (await client.project())
  const shared = new Set(invocation.inputs.map((input) => input.local))
  const needed = [...invocation.inputs, ...items.flatMap((item) => item.inputs).filter((input) => !shared.has(input.local))]
  const uploads = await uploadInputs(client, print, project, needed)
  // By where they are here: two files of other folders may have the same path, each in its own job.
  const uploaded = new Map(needed.map((input, index) => [input.local, uploads[index] as InputFile]))
  const document = toDocument((input) => ({ ...(uploaded.get(input.local) as InputFile), path: input.path }))
  const batch = await client.call('POST /v1/projects/:slug/batches', { params: { slug: project }, body: document })
  if (options.detach === true) {
    if (options.json === true) print.json(batch)
    else print.out(batch.id)
    return 0
  }
  print.say(`${batch.id}: ${batch.size} jobs${batch.parallel === null ? '' : `, ${batch.parallel} at once`}`)
  const folder = resolve(at.cwd, text(options, 'output-dir') ?? 'outputs')
  return followBatch(client, print, project, batch, {
    folders: options['remote-only'] === true ? undefined : names.map((name) => join(folder, name)),
    flat: options.flat === true,
    json: options.json === true,
    cancelFirst: options['cancel-on-interrupt'] === true,
  })
}

/** The Batch document, given what each local file is there. A file that all jobs have is not named again for one. */
function documentMaker(options: OptionValues, template: Spec, invocation: Invocation, items: readonly Item[]) {
  const name = text(options, 'name')
  const count = (option: string) => {
    const value = text(options, option)
    return value === undefined ? null : parseCount(option, value, 1, MAX_BATCH_ITEMS)
  }
  const taken = new Set(invocation.inputs.map((input) => input.path))
  const head: Omit<BatchSpec, 'template' | 'items'> = {
    apiVersion: API_VERSION,
    kind: 'Batch',
    metadata: { ...(name === undefined ? {} : { name }), labels: labelsFromOptions(options) },
    parallel: count('parallel'),
    maxFailures: count('max-failures'),
  }
  return (toInput: (input: LocalInput) => InputFile): BatchSpec => ({
    ...head,
    template: { ...template, files: { inputs: invocation.inputs.map(toInput) } },
    items: items.map((item): BatchItem => {
      const own = item.inputs.filter((input) => !taken.has(input.path)).map(toInput)
      return {
        ...(JOB_NAME.test(item.name) ? { name: item.name } : {}),
        args: argumentsFor(template.args ?? [], item.arg),
        ...(own.length > 0 ? { inputs: own } : {}),
      }
    }),
  })
}
