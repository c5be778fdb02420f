import { randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { errorText } from '#core/errors.ts'
import { nowMs } from '#core/service/time.ts'
import { WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import type { Client } from '../client.ts'
import { followEvents, type ProjectEvent } from '../follow-events.ts'
import type { Printer } from '../print.ts'

/** What is forwarded, and where to. */
export interface ListenOptions {
  forward: string
  types: readonly string[]
  /** Signs what is forwarded; `whsec_…`. */
  secret: string
}

const DEADLINE_MS = 15_000

/** A secret for one session. */
export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`
}

/**
 * Sends each event to a receiver of one's own as a webhook would be sent, one after the other, and says what it answered. An
 * event that the receiver does not take is not sent again: here somebody looks on.
 */
export async function listen(client: Client, print: Printer, options: ListenOptions, signal: AbortSignal): Promise<void> {
  const types = options.types.length > 0 ? options.types : WEBHOOK_EVENTS
  for await (const heard of followEvents(client, { types }, signal)) {
    if (heard.kind === 'look') print.say('listening …')
    else print.out(await forward(heard.event, options, signal))
  }
}

async function forward(event: ProjectEvent, { forward, secret }: ListenOptions, signal: AbortSignal): Promise<string> {
  const type = event.type.replace(/^rgrid\./, '')
  const id = `evt_${event.id}`
  const body = JSON.stringify({ type, timestamp: event.time, data: event.data })
  const at = new Date(nowMs())
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(secret).sign(id, at, body),
  }
  const line = `${event.time}  ${type}  ${event.data.jobId ?? event.data.batchId ?? ''}`
  try {
    const response = await fetch(forward, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]),
    })
    await response.body?.cancel()
    return `${line}  → ${response.status}`
  } catch (error) {
    signal.throwIfAborted()
    return `${line}  → ${errorText(error instanceof Error && error.cause ? error.cause : error)}`
  }
}
