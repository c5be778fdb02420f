import { nowMs } from '#core/service/time.ts'
import { WEBHOOK_EVENTS, type WebhookEvent, type WebhookView, type WebhookWithSecret } from '#core/webhook-api.ts'
import { type Context, list, type OptionValues, text } from '../command.ts'
import { parseSeconds } from '../duration.ts'
import { age } from '../print.ts'
import { UsageError } from '../usage-error.ts'

async function paramsOf({ client, defaults }: Context): Promise<{ slug: string }> {
  return { slug: defaults.project ?? (await client().project()) }
}

/** `list`. */
export async function listWebhooks(context: Context, options: OptionValues): Promise<number> {
  showAll(context, options, await Array.fromAsync(context.client().all('GET /v1/projects/:slug/webhooks', { params: await paramsOf(context) })))
  return 0
}

/** `create --url URL`. */
export async function createWebhook(context: Context, options: OptionValues): Promise<number> {
  const url = text(options, 'url')
  if (url === undefined) throw new UsageError('say where to: rgrid webhooks create --url https://…')
  const events = eventsOf(options)
  const description = text(options, 'description')
  const body = { url, ...(events.length > 0 ? { events } : {}), ...(description === undefined ? {} : { description }) }
  return showSecret(context, options, await context.client().call('POST /v1/projects/:slug/webhooks', { params: await paramsOf(context), body }))
}

/** `secret`: makes the endpoint that signs what jobs ask for themselves. */
export async function createJobsSecret(context: Context, options: OptionValues): Promise<number> {
  return showSecret(
    context,
    options,
    await context.client().call('POST /v1/projects/:slug/webhooks', { params: await paramsOf(context), body: { kind: 'jobs' } }),
  )
}

/** `show ID`. */
export async function showWebhook(context: Context, id: string, options: OptionValues): Promise<number> {
  showAll(context, options, [await context.client().call('GET /v1/webhooks/:id', { params: { id } })])
  return 0
}

/** `update ID`, `enable ID`, `disable ID`. */
export async function updateWebhook(context: Context, id: string, options: OptionValues, enabled?: boolean): Promise<number> {
  const [url, description, events] = [text(options, 'url'), text(options, 'description'), eventsOf(options)]
  const change = {
    ...(url === undefined ? {} : { url }),
    ...(description === undefined ? {} : { description }),
    ...(events.length === 0 ? {} : { events }),
    ...(enabled === undefined ? {} : { enabled }),
  }
  if (Object.keys(change).length === 0) throw new UsageError('say what to change: --url, --event, --description')
  showAll(context, options, [await context.client().call('PATCH /v1/webhooks/:id', { params: { id }, body: change })])
  return 0
}

/** `delete ID`. */
export async function deleteWebhook({ client, print }: Context, id: string): Promise<number> {
  await client().call('DELETE /v1/webhooks/:id', { params: { id } })
  print.say(`${id} is deleted, with the record of its deliveries`)
  return 0
}

/** `rotate ID`. */
export async function rotateWebhook(context: Context, id: string, options: OptionValues): Promise<number> {
  const overlap = text(options, 'overlap')
  const body = overlap === undefined ? {} : { overlapSeconds: parseSeconds('overlap', overlap) }
  return showSecret(context, options, await context.client().call('POST /v1/webhooks/:id/rotate', { params: { id }, body }))
}

/** The events of `--event`. Throws a UsageError. */
function eventsOf(options: OptionValues): WebhookEvent[] {
  return list(options, 'event').map((name) => {
    const known = WEBHOOK_EVENTS.find((event) => event === name)
    if (known === undefined) throw new UsageError(`--event ${name}: it is one of ${WEBHOOK_EVENTS.join(', ')}`)
    return known
  })
}

function showSecret({ print }: Context, options: OptionValues, webhook: WebhookWithSecret): number {
  if (options.json === true) {
    print.json(webhook)
    return 0
  }
  print.out(`${webhook.id}  ${webhook.secret}`)
  print.say('This is the only time that the secret is shown. Receivers verify with it: docs/WEBHOOKS.md')
  const [older] = webhook.secrets.filter((secret) => secret.expiresAt !== null)
  if (older) print.say(`The secret before it signs too until ${older.expiresAt}`)
  return 0
}

function showAll({ print }: Context, options: OptionValues, webhooks: readonly WebhookView[]): void {
  if (options.json === true) for (const webhook of webhooks) print.json(webhook)
  else print.table([['WEBHOOK', 'URL', 'EVENTS', 'STATE', 'DESCRIPTION', 'AGE'], ...webhooks.map(toRow)])
}

function toRow(webhook: WebhookView): string[] {
  const failing = webhook.failingSince === null ? 'enabled' : `failing for ${age(webhook.failingSince, nowMs())}`
  const state = webhook.enabled ? failing : `disabled (${webhook.disabledReason})`
  const events = webhook.kind === 'jobs' ? 'those of jobs with spec.webhook' : webhook.events.join(' ')
  return [webhook.id, webhook.url ?? '-', events, state, webhook.description ?? '', age(webhook.createdAt, nowMs())]
}
