import { nowMs, sleep } from '#core/service/time.ts'
import { DELIVERY_STATES, type DeliveryQuery, type DeliveryView, type RedeliverRange, type TryView, WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import { type Context, type OptionValues, text } from '../command.ts'
import { parseCount, parseTime } from '../duration.ts'
import { age } from '../print.ts'
import { shown } from '../terminal-text.ts'
import { UsageError } from '../usage-error.ts'

const POLL_MS = 300
/** Longer than a delivery may take. */
const RESULT_MS = 30_000
const PAGE_SIZE = 200

/** `deliveries ID`: what was sent, or is to be, the newest first. */
export async function listDeliveries({ client, print }: Context, webhookId: string, options: OptionValues): Promise<number> {
  const query: DeliveryQuery = queryOf(options)
  const rows = [['DELIVERY', 'TYPE', 'ABOUT', 'STATE', 'TRIES', 'LAST', 'NEXT', 'AGE']]
  let left = parseCount('limit', text(options, 'limit') ?? '50', 1, 1_000_000)
  for (let more = true; more; ) {
    query.limit = Math.min(PAGE_SIZE, left)
    const page = await client().call('GET /v1/webhooks/:id/deliveries', { params: { id: webhookId }, query })
    if (options.json === true) for (const delivery of page.items) print.json(delivery)
    else rows.push(...page.items.map(toRow))
    left -= page.items.length
    more = page.nextCursor !== null && left > 0
    if (page.nextCursor !== null) query.cursor = page.nextCursor
  }
  if (options.json !== true) print.table(rows)
  return 0
}

function queryOf(options: OptionValues): DeliveryQuery {
  const [job, since, until] = [text(options, 'job'), text(options, 'since'), text(options, 'until')]
  const state = oneOf('state', text(options, 'state'), DELIVERY_STATES)
  const type = oneOf('type', text(options, 'type'), [...WEBHOOK_EVENTS, 'webhook.ping'])
  return {
    ...(state === undefined ? {} : { state }),
    ...(type === undefined ? {} : { type }),
    ...(job === undefined ? {} : { job }),
    ...(since === undefined ? {} : { since: parseTime('since', since) }),
    ...(until === undefined ? {} : { until: parseTime('until', until) }),
  }
}

/** The word, when it is one of these. Throws a UsageError. */
function oneOf<const T extends string>(option: string, value: string | undefined, words: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  const found = words.find((word) => word === value)
  if (found === undefined) throw new UsageError(`--${option} ${value}: it is one of ${words.join(', ')}`)
  return found
}

/** `delivery ID DELIVERY`: one of them, with every time that it was sent. */
export async function showDelivery({ client, print }: Context, webhookId: string, deliveryId: string, options: OptionValues): Promise<number> {
  const found = await client().call('GET /v1/webhooks/:id/deliveries/:deliveryId', { params: { id: webhookId, deliveryId } })
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
  const { id } = await client().call('POST /v1/webhooks/:id/test', { params: { id: webhookId } })
  const deadlineMs = nowMs() + RESULT_MS
  for (;;) {
    const found = await client().call('GET /v1/webhooks/:id/deliveries/:deliveryId', { params: { id: webhookId, deliveryId: id } })
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
    const delivery = await client().call('POST /v1/webhooks/:id/deliveries/:deliveryId/redeliver', { params: { id: webhookId, deliveryId } })
    print.say(`${delivery.id} is sent again`)
    return 0
  }
  const until = text(options, 'until')
  const range: RedeliverRange = {
    since: parseTime('since', since as string),
    until: until === undefined ? new Date(nowMs()).toISOString() : parseTime('until', until),
    state: options.all === true ? 'all' : 'failed',
  }
  const { redelivered } = await client().call('POST /v1/webhooks/:id/redeliver', { params: { id: webhookId }, body: range })
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
