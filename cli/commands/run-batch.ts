import { globSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { BatchView, JobPage, JobView } from '#core/api.ts'
import { type BatchItem, type BatchSpec, MAX_BATCH_ITEMS } from '#core/batch.ts'
import { API_VERSION, Name, type Spec } from '#core/job/spec.ts'
import { isFinal } from '#core/job/state.ts'
import { monotonicMs, sleep } from '#core/service/time.ts'
import type { Client } from '../client.ts'
import { type Context, list, type OptionValues, text } from '../command.ts'
import { parseCount } from '../duration.ts'
import { outputFolders } from '../output-folder.ts'
import { createProgress } from '../progress.ts'
import { type Invocation, readItem } from '../script.ts'
import { labelsFromOptions } from '../spec-options.ts'
import { inParallel } from '../transfer.ts'
import { UsageError } from '../usage-error.ts'
import { describeEnd, fetchOutputs, uploadInputs } from './run.ts'

const LOOK_EVERY_MS = 300
const JOB_NAME = new RegExp(Name.pattern as string)

/** `rgrid run --batch`: one job for each file, so many at once; outputs are brought as each job ends. */
export async function runBatch(context: Context, options: OptionValues, template: Spec, invocation: Invocation): Promise<number> {
  const { print, at } = context
  const files = findFiles(at.cwd, list(options, 'batch'))
  const count = (name: string) => (text(options, name) === undefined ? null : parseCount(name, text(options, name) as string, 1, MAX_BATCH_ITEMS))
  const client = context.client()
  const names = outputFolders(files)
  const items = files.map((file, index) => ({ name: names[index] as string, ...readItem(at.cwd, file) }))
  const document = (shared: Awaited<ReturnType<typeof uploadInputs>>, each: BatchItem[]): BatchSpec => ({
    apiVersion: API_VERSION,
    kind: 'Batch',
    metadata: { ...(text(options, 'name') === undefined ? {} : { name: text(options, 'name') as string }), labels: labelsFromOptions(options) },
    parallel: count('parallel'),
    maxFailures: count('max-failures'),
    template: { ...template, files: { inputs: shared } },
    items: each,
  })
  const toItem = (item: (typeof items)[number], inputs: BatchItem['inputs']): BatchItem => ({
    ...(JOB_NAME.test(item.name) ? { name: item.name } : {}),
    args: withFile(template.args ?? [], item.arg),
    ...(inputs ? { inputs } : {}),
  })
  if (options['dry-run'] === true) {
    print.out(
      JSON.stringify(
        document(
          [],
          items.map((item) => toItem(item, undefined)),
        ),
        null,
        2,
      ),
    )
    return 0
  }
  const project = context.defaults.project ?? (await client.project())
  const taken = new Set(invocation.inputs.map((input) => input.path))
  const uploads = await uploadInputs(context, client, project, [
    ...invocation.inputs,
    ...items.flatMap((item) => item.inputs.filter((input) => !taken.has(input.path))),
  ])
  const shared = uploads.filter((upload) => taken.has(upload.path))
  const byPath = new Map(uploads.map((upload) => [upload.path, upload]))
  const own = (item: (typeof items)[number]) =>
    item.inputs.flatMap((input) => (taken.has(input.path) ? [] : [byPath.get(input.path)].filter((upload) => upload !== undefined)))
  const batch = await client.post<BatchView>(
    `/v1/projects/${project}/batches`,
    document(
      shared,
      items.map((item) => toItem(item, own(item))),
    ),
  )
  if (options.detach === true) {
    if (options.json === true) print.json(batch)
    else print.out(batch.id)
    return 0
  }
  print.say(`${batch.id}: ${batch.size} jobs${batch.parallel === null ? '' : `, ${batch.parallel} at once`}`)
  const folder = resolve(at.cwd, text(options, 'output-dir') ?? 'outputs')
  const folders = names.map((name) => join(folder, name))
  return follow(context, options, client, project, batch, folders)
}

async function follow(context: Context, options: OptionValues, client: Client, project: string, batch: BatchView, folders: readonly string[]): Promise<number> {
  const { print } = context
  const startMs = monotonicMs()
  const progress = createProgress(print, () => monotonicMs() - startMs)
  const interrupted = new AbortController()
  let cancelled = false
  const onInterrupt = () => {
    if (options['cancel-on-interrupt'] !== true || cancelled) return interrupted.abort()
    cancelled = true
    client.post(`/v1/batches/${batch.id}/cancel`).catch((error: Error) => print.say(error.message))
  }
  process.on('SIGINT', onInterrupt)
  const fetched = new Set<string>()
  try {
    for (;;) {
      const now = await client.get<BatchView>(`/v1/batches/${batch.id}`)
      progress.show(now)
      const over = now.finishedAt !== null
      const ended = (await jobsOf(client, project, batch.id, over ? undefined : 'succeeded,failed')).filter((job) => isFinal(job.state) && !fetched.has(job.id))
      await inParallel(ended, 4, async (job) => {
        fetched.add(job.id)
        if (options['remote-only'] !== true) await fetchOutputs(client, job.id, folders[job.batchIndex ?? 0] as string, options.flat === true)
        if (options.json === true) print.json(job)
      })
      if (over) {
        progress.end()
        return summarise(context, now, await jobsOf(client, project, batch.id, 'failed,cancelled'))
      }
      await sleep(LOOK_EVERY_MS, interrupted.signal)
    }
  } catch (error) {
    if (!interrupted.signal.aborted) throw error
    progress.end()
    print.say(`detached; ${batch.id} goes on. Come back: rgrid status ${batch.id}   outputs: rgrid download ${batch.id}   end it: rgrid cancel ${batch.id}`)
    return 130
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}

/** All jobs of a batch in these states, in its order. */
export async function jobsOf(client: Client, project: string, batchId: string, states: string | undefined): Promise<JobView[]> {
  const jobs: JobView[] = []
  let cursor: string | null = null
  do {
    const query: string = new URLSearchParams({
      batch: batchId,
      limit: '200',
      ...(states === undefined ? {} : { state: states }),
      ...(cursor === null ? {} : { cursor }),
    }).toString()
    const page: JobPage = await client.get<JobPage>(`/v1/projects/${project}/jobs?${query}`)
    jobs.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null)
  return jobs
}

function summarise(context: Context, batch: BatchView, bad: readonly JobView[]): number {
  const { print } = context
  const { succeeded, failed, cancelled } = batch.counts
  print.say(`${batch.id}: ${succeeded} succeeded, ${failed} failed${cancelled > 0 ? `, ${cancelled} cancelled` : ''}`)
  const groups = Map.groupBy(
    bad.filter((job) => job.state === 'failed'),
    describeEnd,
  )
  for (const [what, jobs] of [...groups].sort(([, a], [, b]) => b.length - a.length))
    print.say(print.colour('red', `  ${jobs.length} × ${what}, such as item ${jobs[0]?.batchIndex}: rgrid logs ${jobs[0]?.id}`))
  return succeeded === batch.size ? 0 : 1
}

function findFiles(cwd: string, patterns: readonly string[]): string[] {
  const files = [
    ...new Set(
      patterns.flatMap((pattern) =>
        globSync(pattern, { cwd, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name)),
      ),
    ),
  ]
  const relative = files.map((file) => (file.startsWith(`${cwd}/`) ? file.slice(cwd.length + 1) : file)).sort()
  if (relative.length === 0) throw new UsageError(`--batch: no file matches ${patterns.join(' ')} here`)
  if (relative.length > MAX_BATCH_ITEMS) throw new UsageError(`--batch: ${relative.length} files match; at most ${MAX_BATCH_ITEMS} may be one batch`)
  return relative
}

function withFile(args: readonly string[], file: string): string[] {
  return args.some((arg) => arg.includes('{}')) ? args.map((arg) => arg.replaceAll('{}', file)) : [...args, file]
}
