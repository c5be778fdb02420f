import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { jobsOf } from '../batch-jobs.ts'
import { type Command, text } from '../command.ts'
import { artifactName, fetchFile, fetchOutputs, placeFor } from '../download.ts'
import { inParallel } from '../parallel.ts'
import { onlyArgument } from '../parse.ts'

/** `rgrid download`. */
export const downloadCommand: Command = {
  name: 'download',
  usage: 'JOB|BATCH|ARTIFACT',
  summary: 'Brings the outputs of a job (or one of them) into this folder, or those of a batch into ./outputs/<item>/.',
  options: {
    'output-dir': { type: 'string', value: 'DIR', help: 'another folder' },
    flat: { type: 'boolean', help: 'without their folders' },
  },
  async run({ client, print, at, defaults }, options, args) {
    const id = onlyArgument(args, 'job, batch or artifact')
    const isBatch = id.startsWith('batch_')
    const folder = resolve(at.cwd, text(options, 'output-dir') ?? (isBatch ? 'outputs' : '.'))
    const flat = options.flat === true
    await mkdir(folder, { recursive: true })
    if (id.startsWith('art_')) {
      const target = await placeFor(folder, await artifactName(client(), id))
      await fetchFile(client(), id, target)
      print.say(target)
      return 0
    }
    if (!isBatch) {
      print.say(sum([await fetchOutputs(client(), id, folder, flat)]))
      return 0
    }
    const jobs = await jobsOf(client(), defaults.project ?? (await client().project()), id)
    const counts = await inParallel(jobs, 4, (job) => fetchOutputs(client(), job.id, join(folder, job.name ?? String(job.batchIndex)), flat))
    print.say(`${sum(counts)} of ${jobs.length} jobs`)
    return 0
  },
}

function sum(counts: readonly number[]): string {
  const total = counts.reduce((all, count) => all + count, 0)
  return total === 1 ? '1 output' : `${total} outputs`
}
