import type { LogEnd } from '#core/api.ts'
import type { Cause } from '#core/job/state.ts'
import { shown } from './terminal-text.ts'

/** How a job ended, in words. */
export function describeEnd(end: Pick<LogEnd, 'cause' | 'exitCode' | 'message'>): string {
  const what = end.cause === 'exit' ? `exit code ${end.exitCode}` : (end.cause ?? 'no cause')
  // A node says it, with words of the job.
  return end.message ? `${what}: ${shown(end.message)}` : what
}

const ADVICE: Readonly<Partial<Record<Cause, string>>> = {
  timeout: 'give it longer with --timeout',
  oom: 'give it more with --memory',
  image: 'check --runtime; rgrid run --help names some',
  input: 'check that its inputs are still where they were',
  output: 'its log says what it wrote',
  prepare_timeout: 'its image or inputs come slowly: prepareTimeoutSeconds',
  queue_timeout: 'no node had room in time: rgrid nodes, or maxQueueSeconds',
}

/** A sentence about a job that did not succeed. */
export function describeFailure(jobId: string, end: LogEnd): string {
  return end.state === 'cancelled' ? `${jobId} was cancelled` : `${jobId} ${end.state}: ${describeEnd(end)}`
}

/** What a person does next about a job that did not succeed. */
export function adviseNext(jobId: string, end: Pick<LogEnd, 'state' | 'cause'>): string {
  const advice = end.state === 'failed' && end.cause ? ADVICE[end.cause] : undefined
  return `${advice ? `${advice}; ` : ''}see: rgrid status ${jobId}, rgrid logs ${jobId}`
}
