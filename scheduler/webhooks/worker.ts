import type { Bus } from '#bus/bus.ts'
import { Event } from '#bus/messages/event.ts'
import { ANY_EVENT } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Sealer } from '#core/sealer.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop } from '#core/service/loop.ts'
import type { Service } from '#core/service/run.ts'
import { after, monotonicMs, nowMs } from '#core/service/time.ts'
import { WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import type { DatabasePool } from '#store/pool.ts'
import { type ClaimedDelivery, claimDeliveries, releaseDeliveries } from '#store/webhook-deliveries.ts'
import { recordEndpointFailure, recordEndpointWell, recordTry } from '#store/webhook-results.ts'
import { webhookSecretContext } from '#store/webhooks.ts'
import { createLanes, type LaneLimits } from './lanes.ts'
import { composeMessage } from './message.ts'
import { type RetryPause, retryPauseMs } from './schedule.ts'
import type { Answer, Send } from './send.ts'
import { judge } from './verdict.ts'

/** What the worker stands on. */
export interface WebhookOptions {
  db: DatabasePool
  bus: Bus
  log: Log
  send: Send
  sealer: Pick<Sealer, 'open'>
  /** An endpoint that has failed for so long is switched off. */
  disableDays: number
  limits?: LaneLimits
  pauseMs?: RetryPause
  leaseMs?: number
  everyMs?: number
  drainMs?: number
}

/** The service that delivers webhooks. */
export interface Webhooks extends Service {
  /** Looks for due deliveries now. */
  kick(): void
}

const LIMITS: LaneLimits = { slots: 128, waiting: 256, perEndpoint: 4, slowMs: 2000 }
/** Longer than a delivery may take; one whose scheduler was killed is sent again after this. */
const LEASE_MS = 30_000
/** A process that was stopped for a while does not send what another has taken over. */
const START_WITHIN_MS = 10_000
const EVERY_MS = 1000
/** When the scheduler stops, deliveries under way may still take so long. */
const DRAIN_MS = 4000

const HINTS: ReadonlySet<string> = new Set(WEBHOOK_EVENTS.map((type) => `rgrid.${type}`))

/** Sends due deliveries, many at once. Any number of schedulers do so beside each other, no leader is needed. */
export function createWebhooks(options: WebhookOptions): Webhooks {
  const { db, bus, log, leaseMs = LEASE_MS, pauseMs = retryPauseMs } = options
  const lanes = createLanes(options.limits ?? LIMITS)
  const cut = new AbortController()
  const underWay = new Set<Promise<void>>()
  let unsubscribe = () => {}

  const loop = createLoop({
    name: 'webhooks',
    everyMs: options.everyMs ?? EVERY_MS,
    log,
    async round(signal) {
      for (let again = true; again && !signal.aborted; ) {
        const room = lanes.room()
        if (room.slots <= 0) return
        const startedMs = monotonicMs()
        const claim = await claimDeliveries(db, room, leaseMs)
        again = claim.again
        for (const delivery of claim.deliveries) start(delivery, startedMs)
      }
    },
  })

  function start(delivery: ClaimedDelivery, claimedMs: number): void {
    const end = lanes.begin(delivery)
    const work = deliver(delivery, claimedMs).then(end, (error: unknown) => {
      // Not written down: when the claim is over it is sent again.
      if (!cut.signal.aborted) log.warn({ deliveryId: delivery.id, error: errorText(error) }, 'the result of a webhook could not be written')
      end(false)
    })
    underWay.add(work)
    void work.finally(() => {
      underWay.delete(work)
      loop.kick()
    })
  }

  async function deliver(delivery: ClaimedDelivery, claimedMs: number): Promise<boolean> {
    if (cut.signal.aborted || monotonicMs() - claimedMs > START_WITHIN_MS) {
      await releaseDeliveries(db, [delivery])
      return true
    }
    const answer = await trySend(delivery).catch(async (error: unknown) => {
      // We are stopping: interrupted is not failed.
      await releaseDeliveries(db, [delivery])
      throw error
    })
    const { next, endpoint } = judge(answer, delivery.step, pauseMs)
    const ours = await recordTry(db, delivery, { ...answer, responseBody: answer.body }, next)
    const seen = { deliveryId: delivery.id, endpointId: delivery.endpointId, type: delivery.type, status: answer.status, error: answer.error }
    if (!ours) log.warn(seen, 'a webhook was sent after its claim was over, or changed meanwhile')
    else if (next.to === 'failed') log.warn(seen, 'a webhook is given up')
    if (endpoint === 'well') await recordEndpointWell(db, delivery.endpointId)
    else {
      const disabled = await recordEndpointFailure(db, delivery.endpointId, { gone: endpoint === 'gone', disableDays: options.disableDays })
      if (disabled) log.warn({ endpointId: delivery.endpointId, cause: disabled }, 'a webhook endpoint was switched off')
    }
    return endpoint === 'well'
  }

  async function trySend(delivery: ClaimedDelivery): Promise<Answer> {
    const atMs = nowMs()
    const unsent = (error: string): Answer => ({ atMs, durationMs: 0, status: null, error, body: null, retryAfterMs: null, outcome: 'error' })
    if (delivery.secrets.length === 0) return unsent('the endpoint has no valid secret to sign with')
    try {
      const secrets = delivery.secrets.map((sealed) => options.sealer.open(sealed, webhookSecretContext(delivery.endpointId)))
      return await options.send(composeMessage({ ...delivery, secrets }, atMs), cut.signal)
    } catch (error) {
      cut.signal.throwIfAborted()
      // Not its text: it may be about a secret.
      log.error({ deliveryId: delivery.id, fault: error instanceof Error ? error.name : typeof error }, 'a webhook could not be composed')
      return unsent('the message could not be composed or signed')
    }
  }

  return {
    name: 'webhooks',
    kick: () => loop.kick(),
    async start() {
      await loop.start()
      const subscription = bus.subscribe(ANY_EVENT, Event, ({ type }) => HINTS.has(type) && loop.kick())
      unsubscribe = () => subscription.unsubscribe()
    },
    async stop() {
      unsubscribe()
      await loop.stop()
      const giveUp = after(options.drainMs ?? DRAIN_MS, () => cut.abort(new Error('the scheduler stops')))
      await Promise.all(underWay)
      giveUp()
    },
  }
}
