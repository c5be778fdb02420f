import { nowMs, sleep } from '#core/service/time.ts'
import type { DeliveryDetail, DeliveryView, TryView } from '#core/webhook-api.ts'
import { type Context, type OptionValues, text } from '../command.ts'
import { parseCount, parseTime } from '../duration.ts'
import { age } from '../print.ts'
import { shown } from '../terminal-text.ts'
import { UsageError } from '../usage-error.ts'

const POLL_MS = 300
/** Longer than a delivery may take. */
const RESULT_MS = 30_000
const PAGE_SIZE = 200

const path = (webhookId: string) => `/v1/webhooks/${encodeURIComponent(webhookId)}`

/** `deliveries ID`: what was sent, or is to be, the newest first. */
export async function listDeliveries({ client, print }: Context, webhookId: string, options: OptionValues): Promise<number> {
  const query = new URLSearchParams()
  for (const name of ['state', 'type', 'job']) if (text(options, name) !== undefined) query.set(name, text(options, name) as string)
  for (const name of ['since', 'until']) if (text(options, name) !== undefined) query.set(name, parseTime(name, text(options, name) as string))
  const rows = [['DELIVERY', 'TYPE', 'ABOUT', 'STATE', 'TRIES', 'LAST', 'NEXT', 'AGE']]
  let left = parseCount('limit', text(options, 'limit') ?? '50', 1, 1_000_000)
  for (let more = true; more; ) {
    query.set('limit', String(Math.min(PAGE_SIZE, left)))
    const page = await client().get<{ items: DeliveryView[]; nextCursor: string | null }>(`${path(webhookId)}/deliveries?${query}`)
    if (options.json === true) for (const delivery of page.items) print.json(delivery)
    else rows.push(...page.items.map(toRow))
    left -= page.items.length
    more = page.nextCursor !== null && left > 0
    if (page.nextCursor !== null) query.set('cursor', page.nextCursor)
  }
  if (options.json !== true) print.table(rows)
  return 0
}

/** `delivery ID DELIVERY`: one of them, with every time that it was sent. */
export async function showDelivery({ client, print }: Context, webhookId: string, deliveryId: string, options: OptionValues): Promise<number> {
  const found = await client().get<DeliveryDetail>(`${path(webhookId)}/deliveries/${encodeURIComponent(deliveryId)}`)
  if (options.json === true) print.json(found)
  else {
    print.table([['DELIVERY', 'TYPE', 'ABOUT', 'STATE', 'TRIES', 'LAST', 'NEXT', 'AGE'], toRow(found)])
    print.out(`message ${found.messageId} to ${shown(found.url)}`)
    if (found.attempts.length > 0) print.out('')
    if (found.attempts.length > 0) print.table([['TRY', 'AT', 'TOOK', 'STATUS', 'ERROR', 'ANSWER'], ...found.attempts.map(toTryRow)])
  }
  return 0
}

/** `test ID`: sends a ping, waits for what came of it. Ends with 1 when it was not taken. */
export async function testWebhook({ client, print }: Context, webhookId: string, options: OptionValues): Promise<number> {
  const { id } = await client().post<DeliveryView>(`${path(webhookId)}/test`)
  const deadlineMs = nowMs() + RESULT_MS
  for (;;) {
    const found = await client().get<DeliveryDetail>(`${path(webhookId)}/deliveries/${id}`)
    const last = found.attempts.at(-1)
    if (last || found.state !== 'pending' || nowMs() > deadlineMs) {
      if (options.json === true) print.json(found)
      else print.out(describeTry(found, last))
      return found.state === 'delivered' ? 0 : 1
    }
    await sleep(POLL_MS)
  }
}

/** `redeliver ID DELIVERY`, or `redeliver ID --since …`: sends again what was sent, or given up. */
export async function redeliver({ client, print }: Context, webhookId: string, deliveryId: string | undefined, options: OptionValues): Promise<number> {
  const since = text(options, 'since')
  if ((deliveryId === undefined) === (since === undefined)) throw new UsageError('name a delivery, or a range with --since')
  if (deliveryId !== undefined) {
    const delivery = await client().post<DeliveryView>(`${path(webhookId)}/deliveries/${encodeURIComponent(deliveryId)}/redeliver`)
    print.say(`${delivery.id} is sent again`)
    return 0
  }
  const until = text(options, 'until')
  const range = {
    since: parseTime('since', since as string),
    until: until === undefined ? new Date(nowMs()).toISOString() : parseTime('until', until),
    state: options.all === true ? 'all' : 'failed',
  }
  const { redelivered } = await client().post<{ redelivered: number }>(`${path(webhookId)}/redeliver`, range)
  print.say(`${redelivered} deliveries are sent again`)
  return 0
}

function describeTry(delivery: DeliveryView, last: TryView | undefined): string {
  if (!last) return `${delivery.id}: ${shown(delivery.lastError ?? 'not sent yet; is a scheduler running?')}`
  const answer = last.responseBody?.split('\n')[0] ?? ''
  const what = last.status === null ? (last.error ?? 'no answer') : `${last.status}${answer === '' ? '' : ` ${answer}`}`
  return `${delivery.id}: ${shown(what)} after ${last.durationMs} ms`
}

function toRow(delivery: DeliveryView): string[] {
  const last = delivery.lastStatus !== null ? String(delivery.lastStatus) : (delivery.lastError ?? '-')
  const about = delivery.jobId ?? delivery.batchId ?? '-'
  return [delivery.id, delivery.type, about, delivery.state, String(delivery.tries), last, delivery.nextTryAt ?? '-', age(delivery.createdAt, nowMs())]
}

function toTryRow(one: TryView): string[] {
  return [String(one.number), one.at, `${one.durationMs} ms`, String(one.status ?? '-'), one.error ?? '', (one.responseBody ?? '').slice(0, 200)]
}
