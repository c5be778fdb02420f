import type { Reason, ReasonOf } from '#core/explain.ts'
import { retryWords } from '#core/job/outcome.ts'
import { formatBytes } from '#core/job/quantity.ts'

/** A reason in words: what `reason` of a job says, and `message` of its explanation. Times are told as they are from now. */
export function inWords(reason: Reason, nowMs: number): string {
  switch (reason.code) {
    case 'final':
      return `${reason.details.state}: ${endWords(reason.details)}`
    case 'running':
      return runningWords(reason.details)
    case 'parallelism':
      return `held: batch parallelism ${reason.details.underWay}/${reason.details.parallel}`
    case 'backoff':
      return `${retryWords(reason.details)} in ${secondsTo(reason.details.at, nowMs)} s`
    case 'not_before':
      return `held: not before ${reason.details.at}`
    case 'too_large':
      return `waiting: too large: it asks for ${sizeWords(reason.details)}, and the machine that comes closest has ${sizeWords(reason.details.largest)}`
    case 'paused':
      return `waiting: ${PAUSE_WORDS[reason.details.cause]}`
    case 'quota':
      return `waiting, as the ${reason.details.scope} may run ${reason.details.limit} at once: ${aheadWords(reason.details)}`
    case 'queue':
      return queueWords(reason.details)
    case 'booting':
      return bootingWords(reason.details, nowMs)
    case 'budget':
      return 'waiting: the machines cost what they may cost in an hour, so no more are bought'
    case 'capacity':
      return `waiting: ${capacityWords(reason.details)}${againWords(reason.details.retryAt, nowMs)}${cellWords(reason.details.cells, nowMs)}`
    case 'no_nodes':
      return `waiting: ${noNodesWords(reason.details)}`
  }
}

const PAUSE_WORDS = {
  no_scheduler: 'no scheduler is at work',
  unheard: 'no machine is heard; the bus may be away',
  drained: 'an operator has drained the machines that could take it',
  cordoned: 'the machines that could take it fail jobs, and take no more',
} as const

function runningWords({ cancelRequested, phase, nodeId }: ReasonOf<'running'>['details']): string {
  if (cancelRequested) return 'cancelling'
  return phase === 'assigned' ? `assigned to ${nodeId}` : `${phase} on ${nodeId}`
}

function endWords({ cause, exitCode, message }: ReasonOf<'final'>['details']): string {
  const what = cause === 'exit' ? `exit code ${exitCode}` : cause
  return message === null || message === '' ? what : `${what}: ${message}`
}

function queueWords({ ahead, orMore, estimatedSeconds, again }: ReasonOf<'queue'>['details']): string {
  const before = again === null ? '' : `run again after ${again.cause}; `
  const when = ahead > 0 && estimatedSeconds !== null ? `, ${about(estimatedSeconds)}` : ''
  return `${before}waiting for a slot: ${aheadWords({ ahead, orMore })}${when}`
}

function bootingWords(machine: ReasonOf<'booting'>['details'], nowMs: number): string {
  const seconds = secondsTo(machine.readyAt, nowMs)
  const doing = machine.state === 'booting' ? 'is booting' : 'is being bought'
  return `waiting: a machine ${doing}${cellName(machine)}, ready ${seconds === 0 ? 'any moment' : `in ${about(seconds)}`}`
}

function capacityWords({ shortage, error, provider }: ReasonOf<'capacity'>['details']): string {
  const said = error === null ? '' : `: ${error}`
  switch (shortage) {
    case 'max_nodes':
      return 'all machines that may be had at once are busy'
    case 'no_cell':
      return `${provider} has no machine for it now`
    case 'limit':
      return `the account at ${provider} may have no more machines${said}`
    case 'rate_limited':
      return `${provider} takes no more calls for now${said}`
    case 'away':
      return `${provider} does not answer${said}`
    case 'refused':
      return `${provider} refuses to sell a machine${said}`
    case 'boot_failing':
      return 'machines that are bought do not come up; the operator has to look'
  }
}

function cellWords(cells: ReasonOf<'capacity'>['details']['cells'], nowMs: number): string {
  const told = cells.slice(0, 3).map(({ serverType, location, error, retryAt }) => {
    return `${serverType} in ${location}: ${error?.code ?? 'not available'}${againWords(retryAt, nowMs)}`
  })
  if (cells.length > told.length) told.push(`${cells.length - told.length} more`)
  return told.length === 0 ? '' : ` (${told.join('; ')})`
}

function againWords(retryAt: string | null, nowMs: number): string {
  return retryAt === null ? '' : `, tried again in ${about(secondsTo(retryAt, nowMs))}`
}

function noNodesWords({ provider, lost, leaving }: ReasonOf<'no_nodes'>['details']): string {
  const others = [lost > 0 && `${lost} lost`, leaving > 0 && `${leaving} about to leave`].filter((text) => text !== false)
  const are = others.length === 0 ? 'there is no machine that could take it' : `no machine could take it now (${others.join(', ')})`
  return provider === null ? are : `${are}; one is to be bought`
}

function aheadWords({ ahead, orMore }: { ahead: number; orMore: boolean }): string {
  return `${ahead}${orMore ? ' or more' : ''} ahead`
}

function sizeWords({ slots, memoryBytes }: { slots: number; memoryBytes: number }): string {
  return `${slots} ${slots === 1 ? 'slot' : 'slots'} and ${formatBytes(memoryBytes)}`
}

function cellName({ serverType, location }: { serverType: string | null; location: string | null }): string {
  return serverType === null || location === null ? '' : ` (${serverType} in ${location})`
}

function secondsTo(time: string, nowMs: number): number {
  return Math.max(0, Math.ceil((Date.parse(time) - nowMs) / 1000))
}

/** In steps of five seconds: who follows is not told anew each second. */
function about(seconds: number): string {
  if (seconds <= 90) return `about ${Math.max(5, Math.ceil(seconds / 5) * 5)} s`
  if (seconds <= 5400) return `about ${Math.ceil(seconds / 60)} min`
  return `about ${Math.ceil(seconds / 3600)} h`
}
