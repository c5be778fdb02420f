import type { Explanation, Reason, ReasonOf } from '#core/explain.ts'
import { shown } from '../terminal-text.ts'

/** Something that waits, as it is said to whoever follows it. */
export interface Waiting {
  /** What waits: the id of a job, or a batch with how much of it. */
  subject: string
  /** What `rgrid cancel` takes to end it. */
  id: string
  explanation: Explanation
}

/** One line: what waits, why in the words of `rgrid explain`, and what can be done about it. */
export function waitingText({ subject, id, explanation }: Waiting): string {
  const advice = adviceOn(explanation, id)
  return `${shown(subject)}: ${shown(explanation.message)}${advice === undefined ? '' : `; ${advice}`}`
}

/** What can be done about it alone, for where the reason is shown already; undefined: nothing but to wait. */
export function adviceText({ subject, id, explanation }: Waiting): string | undefined {
  const advice = adviceOn(explanation, id)
  return advice === undefined ? undefined : `${shown(subject)}: ${advice}`
}

/** Reasons of one kind need not be said again: they differ in counts and times, which go on by themselves. */
export function kindOf(reason: Reason): string {
  return `${reason.code} ${variantOf(reason)}`
}

function variantOf(reason: Reason): string {
  switch (reason.code) {
    case 'backoff':
      return `${reason.details.spends} ${reason.details.retry}`
    case 'paused':
      return reason.details.cause
    case 'quota':
      return `${reason.details.scope} ${reason.details.limit}`
    case 'queue':
      return `${reason.details.again?.attempts ?? 0}`
    case 'booting':
      return reason.details.state === 'booting' ? 'boots' : 'is bought'
    case 'capacity':
      return reason.details.shortage
    case 'no_nodes':
      return reason.details.provider === null ? 'by hand' : 'bought'
    default:
      return ''
  }
}

function adviceOn(reason: Reason, id: string): string | undefined {
  switch (reason.code) {
    case 'too_large':
      return `it can never start like this: give it less CPU or memory; end this one: rgrid cancel ${id}`
    case 'paused':
      return PAUSE_ADVICE[reason.details.cause]
    case 'quota':
      return reason.details.limit > 0
        ? 'it starts when others have ended (rgrid list --state running), or the limit is raised'
        : `it starts when the limit is raised; end it: rgrid cancel ${id}`
    case 'budget':
      return 'it starts when a machine has room, or the limit is raised (operators: RGRID_MAX_HOUR_MICRONS)'
    case 'capacity':
      return capacityAdvice(reason.details)
    case 'no_nodes':
      return reason.details.provider === null
        ? `it starts when a machine is set up or comes back (operators: rgrid nodes); end it: rgrid cancel ${id}`
        : undefined
    default:
      return undefined
  }
}

const PAUSE_ADVICE = {
  no_scheduler: 'it starts when a scheduler is at work again (operators: rgrid doctor)',
  unheard: 'it starts when a machine is heard again (operators: rgrid nodes)',
  drained: 'it starts when a machine may work again (operators: rgrid nodes resume NODE)',
  cordoned: 'it starts when a machine is well, or another one comes (operators: rgrid nodes)',
} as const

function capacityAdvice({ shortage, provider }: ReasonOf<'capacity'>['details']): string | undefined {
  switch (shortage) {
    case 'max_nodes':
      return 'it starts when one of them has room, or the limit is raised (operators: RGRID_MAX_NODES)'
    case 'limit':
      return `it starts when a machine has room, or ${shown(provider)} allows more`
    case 'refused':
    case 'boot_failing':
      return 'it starts when a machine has room; operators see what is wrong: rgrid nodes --cells'
    default:
      // Tried again without anybody's doing.
      return undefined
  }
}
