import { type Command, type Context, list, type OptionValues, text } from '../command.ts'
import { UsageError } from '../usage-error.ts'
import { listDeliveries, redeliver, showDelivery, testWebhook } from '../webhooks/deliveries.ts'
import { createJobsSecret, createWebhook, deleteWebhook, listWebhooks, rotateWebhook, showWebhook, updateWebhook } from '../webhooks/endpoints.ts'
import { listen, newSecret } from '../webhooks/listen.ts'

interface Verb {
  /** How many arguments it takes, at least and at most. */
  takes: readonly [number, number]
  options: readonly string[]
  run(context: Context, options: OptionValues, args: readonly string[]): Promise<number>
}

const id = (args: readonly string[]) => args[0] as string

const VERBS: Readonly<Record<string, Verb>> = {
  list: { takes: [0, 0], options: [], run: listWebhooks },
  create: { takes: [0, 0], options: ['url', 'event', 'description'], run: createWebhook },
  secret: { takes: [0, 0], options: [], run: createJobsSecret },
  show: { takes: [1, 1], options: [], run: (context, options, args) => showWebhook(context, id(args), options) },
  update: { takes: [1, 1], options: ['url', 'event', 'description'], run: (context, options, args) => updateWebhook(context, id(args), options) },
  enable: { takes: [1, 1], options: [], run: (context, options, args) => updateWebhook(context, id(args), options, true) },
  disable: { takes: [1, 1], options: [], run: (context, options, args) => updateWebhook(context, id(args), options, false) },
  delete: { takes: [1, 1], options: [], run: (context, _, args) => deleteWebhook(context, id(args)) },
  rotate: { takes: [1, 1], options: ['overlap'], run: (context, options, args) => rotateWebhook(context, id(args), options) },
  test: { takes: [1, 1], options: [], run: (context, options, args) => testWebhook(context, id(args), options) },
  deliveries: {
    takes: [1, 1],
    options: ['state', 'type', 'job', 'since', 'until', 'limit'],
    run: (context, options, args) => listDeliveries(context, id(args), options),
  },
  delivery: { takes: [2, 2], options: [], run: (context, options, args) => showDelivery(context, id(args), args[1] as string, options) },
  redeliver: { takes: [1, 2], options: ['since', 'until', 'all'], run: (context, options, args) => redeliver(context, id(args), args[1], options) },
  listen: { takes: [0, 0], options: ['forward', 'event'], run: listenHere },
}

/** `rgrid webhooks`. */
export const webhooksCommand: Command = {
  name: 'webhooks',
  usage: '[VERB] [WEBHOOK] [DELIVERY]',
  summary: 'Sends what happens to jobs and batches to addresses of yours, signed; shows what was sent, and sends it again.',
  options: {
    url: { type: 'string', help: 'create, update: where to; https' },
    event: { type: 'string', value: 'TYPE', multiple: true, help: 'create, update, listen: only these, such as job.failed; repeatable (all)' },
    description: { type: 'string', value: 'TEXT', help: 'create, update: what it is for' },
    overlap: { type: 'string', value: 'TIME', help: 'rotate: how long the old secret signs too (24h)' },
    state: { type: 'string', help: 'deliveries: pending, delivered or failed' },
    type: { type: 'string', help: 'deliveries: only of this type' },
    job: { type: 'string', help: 'deliveries: only about this job' },
    since: { type: 'string', value: 'TIME', help: 'deliveries, redeliver: from then on: 2h, or 2026-11-23T10:00:00Z' },
    until: { type: 'string', value: 'TIME', help: 'deliveries, redeliver: up to then (now)' },
    all: { type: 'boolean', help: 'redeliver: also what was delivered' },
    limit: { type: 'string', value: 'N', help: 'deliveries: so many (50)' },
    forward: { type: 'string', value: 'URL', help: 'listen: a receiver on this machine, such as http://127.0.0.1:3000/hook' },
    json: { type: 'boolean', help: 'print JSON, a line each' },
  },
  details: `  rgrid webhooks                               the endpoints of the project
  rgrid webhooks create --url https://…        a new one; prints its secret, once
  rgrid webhooks secret                        the secret that signs what jobs ask for themselves (spec.webhook)
  rgrid webhooks show|update|enable|disable|delete|rotate WEBHOOK
  rgrid webhooks test WEBHOOK                  sends a ping and waits for the answer
  rgrid webhooks deliveries WEBHOOK            what was sent and what is to be, the newest first
  rgrid webhooks delivery WEBHOOK DELIVERY     one of them, with every try
  rgrid webhooks redeliver WEBHOOK DELIVERY    again; or all that failed: redeliver WEBHOOK --since 2h
  rgrid webhooks listen --forward URL          events as they happen, to a receiver on this machine`,
  run(context, options, words) {
    const [verb = 'list', ...args] = words
    const known = Object.hasOwn(VERBS, verb) ? VERBS[verb] : undefined
    if (!known) throw new UsageError(`rgrid webhooks does not know "${verb}"; it knows ${Object.keys(VERBS).join(', ')}`)
    const [least, most] = known.takes
    if (args.length < least || args.length > most) throw new UsageError(`rgrid webhooks ${verb} takes ${takesText(known.takes)}. See: rgrid webhooks --help`)
    const foreign = Object.keys(options).find((name) => name !== 'json' && !known.options.includes(name))
    if (foreign !== undefined) throw new UsageError(`--${foreign} does not go with rgrid webhooks ${verb}`)
    return known.run(context, options, args)
  },
}

function takesText([least, most]: Verb['takes']): string {
  if (most === 0) return 'no argument'
  return least === 2 ? 'a webhook and a delivery' : most === 2 ? 'a webhook, and a delivery or --since' : 'one webhook'
}

async function listenHere({ client, print, at }: Context, options: OptionValues): Promise<number> {
  const forward = text(options, 'forward')
  if (forward === undefined || !URL.canParse(forward)) throw new UsageError('say where to: rgrid webhooks listen --forward http://127.0.0.1:3000/hook')
  const given = at.env.RGRID_WEBHOOK_SECRET
  const secret = given ?? newSecret()
  if (given === undefined) print.say(`the secret of this session (RGRID_WEBHOOK_SECRET keeps one): ${secret}`)
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  await listen(client(), print, { forward, types: list(options, 'event'), secret }, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error
  })
  return 0
}
