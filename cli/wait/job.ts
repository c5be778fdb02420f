import type { LogEnd } from '#core/api.ts'
import { errorText } from '#core/errors.ts'
import type { Client } from '../client.ts'
import { followJob, type Listener, type LogChoice } from '../follow.ts'
import type { Printer } from '../print.ts'
import { shown } from '../terminal-text.ts'
import { adviceText, waitingText } from './notice.ts'
import { createTeller } from './teller.ts'

/** What of a job is followed. */
export interface Followed {
  jobId: string
  choice?: LogChoice
  /** Whether the listener shows on a terminal, until there is output, why the job waits: then only what to do about it is said. */
  showsReason: boolean
}

/** Follows a job as followJob does, and says on stderr why it waits whenever that takes longer than a moment. */
export async function followSayingWhy(
  client: Client,
  print: Printer,
  { jobId, choice = {}, showsReason }: Followed,
  listener: Listener,
  signal: AbortSignal,
): Promise<LogEnd> {
  let isShown = showsReason && print.isTerminal
  const teller = createTeller({
    anew: true,
    ask: async (asking) => {
      const explanation = await client.once(asking, 'GET /v1/jobs/:id/explain', { params: { id: jobId } })
      return explanation.state === 'queued' || explanation.state === 'held' ? { subject: jobId, id: jobId, explanation } : undefined
    },
    tell(waiting) {
      const text = isShown ? adviceText(waiting) : waitingText(waiting)
      if (text !== undefined) print.say(print.colour('dim', `rgrid: ${text}`))
    },
    trouble: (error) => print.say(`rgrid: why ${jobId} waits cannot be told: ${shown(errorText(error))}`),
  })
  const told: Listener = {
    ...listener,
    chunk(chunk) {
      isShown = false
      return listener.chunk(chunk)
    },
    status(status) {
      teller.hear(status.state === 'queued' || status.state === 'held')
      listener.status(status)
    },
  }
  return followJob(client, jobId, told, signal, choice).finally(() => teller.hear(false))
}
