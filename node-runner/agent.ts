import type { Bus } from '#bus/bus.ts'
import { type Assignment, ClaimReply, ClaimRequest } from '#bus/messages/claim.ts'
import { Control, Heartbeat, RenewReply, RenewRequest, Wake } from '#bus/messages/node.ts'
import { controlSubject, heartbeatSubject, nodeRequestSubject, WAKE_QUEUE, wakeSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop } from '#core/service/loop.ts'
import type { Service } from '#core/service/run.ts'
import { pause } from '#core/service/time.ts'
import type { Capacity } from './config.ts'
import type { Reporter } from './report.ts'
import { StopRequest } from './step-error.ts'

/** What the agent needs. */
export interface AgentOptions {
  bus: Bus
  nodeId: string
  pool: string
  capacity: Capacity
  reporter: Reporter
  claimPollMs: number
  heartbeatMs: number
  renewMs: number
  drainMs: number
  log: Log
  /** Runs an attempt to its report. */
  run(job: Assignment, stop: AbortSignal): Promise<void>
}

interface Running {
  job: Assignment
  stop: AbortController
  done: Promise<void>
}

const REQUEST_MS = 5000

/**
 * Takes work while there is room: on a wake-up, when a job ends, and by a slow fallback. Says that it lives, asks about
 * its leases, obeys cancel and drain. Stopping it drains: nothing new, what runs may end within `drainMs`, the rest is
 * handed back as interrupted.
 */
export function createAgent(options: AgentOptions): Service {
  const { bus, nodeId, capacity, log } = options
  const running = new Map<string, Running>()
  let draining = false
  let claiming = false
  let claimAgain = false
  let wakes: { unsubscribe(): void } | undefined
  const subscriptions: { unsubscribe(): void }[] = []

  function free(): Capacity {
    let { slots, memoryBytes } = capacity
    for (const { job } of running.values()) {
      slots -= job.spec.slots
      memoryBytes -= job.spec.memoryBytes
    }
    return { slots, memoryBytes }
  }

  // A node that is full must not hear a wake-up: it would be lost for the node that could use it.
  function listenWhileFree(): void {
    const wanted = !draining && free().slots > 0
    if (wanted && !wakes) wakes = bus.subscribe(wakeSubject(options.pool), Wake, () => void claim(), WAKE_QUEUE)
    if (!wanted && wakes) {
      wakes.unsubscribe()
      wakes = undefined
    }
  }

  async function claim(): Promise<void> {
    if (claiming) {
      claimAgain = true
      return
    }
    claiming = true
    try {
      do {
        claimAgain = false
        const { slots, memoryBytes } = free()
        if (draining || slots <= 0) break
        const { assignments } = await bus.request(
          nodeRequestSubject(nodeId, 'claim'),
          ClaimRequest,
          ClaimReply,
          { slots, memoryBytes: Math.max(0, memoryBytes) },
          REQUEST_MS,
        )
        for (const job of assignments) begin(job)
      } while (claimAgain)
    } catch (error) {
      log.warn({ error: errorText(error) }, 'a claim was not answered')
    } finally {
      claiming = false
      listenWhileFree()
    }
  }

  function begin(job: Assignment): void {
    if (running.has(job.attemptId)) return
    const stop = new AbortController()
    log.info({ jobId: job.jobId, attemptId: job.attemptId, to: 'preparing' }, 'attempt begun')
    const done = options
      .run(job, stop.signal)
      .catch((error: unknown) => log.error({ attemptId: job.attemptId, error: errorText(error) }, 'an attempt broke'))
      .then(() => {
        running.delete(job.attemptId)
        listenWhileFree()
        void claim()
      })
    running.set(job.attemptId, { job, stop, done })
  }

  function stopAttempt(attemptId: string, why: StopRequest['why']): void {
    const attempt = running.get(attemptId)
    if (!attempt || attempt.stop.signal.aborted) return
    log.info({ attemptId, why }, 'attempt told to stop')
    attempt.stop.abort(new StopRequest(why))
  }

  async function renew(): Promise<void> {
    const attempts = [...running.values()].map(({ job }) => ({ attemptId: job.attemptId, leaseToken: job.leaseToken }))
    const reported = options.reporter.pending().filter((lease) => !running.has(lease.attemptId))
    const reply = await bus.request(
      nodeRequestSubject(nodeId, 'renew'),
      RenewRequest,
      RenewReply,
      { attempts: [...attempts, ...reported], containers: [] },
      REQUEST_MS,
    )
    for (const attemptId of reply.stale) stopAttempt(attemptId, 'stale')
    for (const attemptId of reply.cancel) stopAttempt(attemptId, 'cancelled')
  }

  function drain(): void {
    if (draining) return
    draining = true
    log.info({ running: running.size, to: 'draining' }, 'draining')
    listenWhileFree()
  }

  function beat(): void {
    bus.publish(heartbeatSubject(nodeId), Heartbeat, { state: draining ? 'draining' : 'ready', freeSlots: Math.max(0, free().slots), attempts: running.size })
  }

  const loops = [
    createLoop({ name: 'heartbeat', everyMs: options.heartbeatMs, log, round: async () => beat() }),
    createLoop({ name: 'renew', everyMs: options.renewMs, log, round: renew }),
    createLoop({ name: 'claim', everyMs: options.claimPollMs, log, round: claim }),
  ]

  return {
    name: 'agent',
    async start() {
      subscriptions.push(
        bus.subscribe(controlSubject(nodeId), Control, (message) => {
          if (message.kind === 'cancel') stopAttempt(message.attemptId, 'cancelled')
          else drain()
        }),
      )
      listenWhileFree()
      for (const loop of loops) await loop.start()
    },
    async stop() {
      drain()
      beat()
      const ended = Promise.all([...running.values()].map(({ done }) => done))
      const limit = new AbortController()
      await Promise.race([ended, pause(options.drainMs, limit.signal)])
      limit.abort()
      for (const attemptId of running.keys()) stopAttempt(attemptId, 'interrupted')
      await ended
      await Promise.all(loops.map((loop) => loop.stop()))
      for (const subscription of subscriptions) subscription.unsubscribe()
    },
  }
}
