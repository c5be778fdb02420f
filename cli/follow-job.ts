import type { LogEnd } from '#core/api.ts'
import { exitStatus } from '#core/job/outcome.ts'
import type { Client } from './client.ts'
import { adviseNext, describeFailure } from './describe.ts'
import { fetchOutputs } from './download.ts'
import { listenForInterrupt } from './interrupt.ts'
import type { Printer } from './print.ts'
import { createOutput, createQuiet } from './stream-output.ts'
import { followSayingWhy } from './wait/job.ts'

/** What is done while a job goes on, and when it has ended. */
export interface JobOptions {
  /** Where its outputs go; undefined leaves them there. */
  folder: string | undefined
  flat: boolean
  /** Print the job as one JSON document at the end, and nothing of its output. */
  json: boolean
  /** The first Ctrl-C cancels instead of detaching. */
  cancelFirst: boolean
}

/** Shows a job's output until it ends and brings its outputs. Resolves with the exit code that `rgrid` ends with. */
export async function waitForJob(client: Client, print: Printer, jobId: string, options: JobOptions): Promise<number> {
  const end = await followOrDetach(client, print, jobId, options)
  if (end === 'detached') return 130
  for (const warning of end.warnings) print.say(print.colour('yellow', `warning: ${warning}`))
  if (options.folder !== undefined) {
    await fetchOutputs(client, jobId, options.folder, options.flat).catch((error: unknown) => {
      print.say(`${jobId} ${end.state}, but its outputs did not come. Bring them: rgrid download ${jobId}`)
      throw error
    })
  }
  if (options.json) print.json(await client.call('GET /v1/jobs/:id', { params: { id: jobId } }))
  sayFailure(print, jobId, end)
  return exitStatus(end)
}

/** For a job that did not succeed: how it ended, and what to do next. */
export function sayFailure(print: Printer, jobId: string, end: LogEnd): void {
  if (end.state === 'succeeded') return
  print.say(print.colour('red', describeFailure(jobId, end)))
  print.say(print.colour('dim', adviseNext(jobId, end)))
}

async function followOrDetach(client: Client, print: Printer, jobId: string, options: JobOptions): Promise<LogEnd | 'detached'> {
  const interrupt = listenForInterrupt(print, {
    id: jobId,
    comeBack: `Come back: rgrid logs -f ${jobId}   outputs: rgrid download ${jobId}   end it: rgrid cancel ${jobId}`,
    cancelFirst: options.cancelFirst,
    cancel: () => client.call('POST /v1/jobs/:id/cancel', { params: { id: jobId } }),
  })
  try {
    const listener = options.json ? createQuiet(print) : createOutput(print)
    return await followSayingWhy(client, print, { jobId, showsReason: !options.json }, listener, interrupt.signal)
  } catch (error) {
    if (!interrupt.signal.aborted) {
      print.say(`${jobId} was submitted, and goes on whatever is wrong here: rgrid status ${jobId}, rgrid cancel ${jobId}`)
      throw error
    }
    await interrupt.left()
    return 'detached'
  } finally {
    print.progress('')
    interrupt.dispose()
  }
}
