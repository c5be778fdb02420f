import { type Assignment, ClaimReply, ClaimRequest } from '#bus/messages/claim.ts'
import { Control, Heartbeat, RenewReply, RenewRequest, Wake } from '#bus/messages/node.ts'
import { controlSubject, heartbeatSubject, nodeRequestSubject, WAKE_QUEUE, wakeSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import { createLoop } from '#core/service/loop.ts'
import type { Service } from '#core/service/run.ts'
import { after, monotonicMs, pause } from '#core/service/time.ts'
import { readTraceContext, traceIdOf } from '#core/service/trace-context.ts'
import type { AgentOptions } from './agent-options.ts'
import type { Capacity } from './config.ts'
import { type AttemptRecord, newRecord } from './record.ts'
import { StopRequest } from './step-error.ts'

/** The agent as a service that knows what it runs. */
export interface Agent extends Service {
  /** The attempts in its hands. */
  running(): string[]
  state(): { free: Capacity; draining: boolean; attempts: AttemptRecord[] }
}

interface Running {
  record: AttemptRecord
  stop: AbortController
  done: Promise<void>
}

const REQUEST_MS = 5000
/** How long what is handed back at the stop may take to be reported. */
const HAND_BACK_MS = 20_000

/**
 * Takes work while there is room: on a wake-up, when a job ends, and by a slow fallback. Says that it lives, asks about
 * its leases, obeys cancel and drain. Stopping it drains: nothing new, what runs may end within `drainMs`, the rest is
 * handed back as interrupted.
 */
export function createAgent(options: AgentOptions): Agent {
  const { bus, nodeId, capacity, log } = options
  const running = new Map<string, Running>()
  let draining = false
  let stopping = false
  let diskFull = false
  let claiming = false
  let claimAgain = false
  let cancelHandBack: (() => void) | undefined
  let wakes: { unsubscribe(): void } | undefined
  const subscriptions: { unsubscribe(): void }[] = []

  function free(): Capacity {
    let { slots, memoryBytes } = capacity
    for (const { record } of running.values()) {
      slots -= record.assignment.spec.slots
      memoryBytes -= record.assignment.spec.memoryBytes
    }
    return { slots, memoryBytes }
  }

  // A node that is full must not hear a wake-up: it would be lost for the node that could use it.
  function listenWhileFree(): void {
    const wanted = !draining && !diskFull && free().slots > 0
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
        if (draining || slots <= 0 || !(await roomOnDisk())) break
        for (const assignment of await ask({ slots, memoryBytes: Math.max(0, memoryBytes) })) begin(newRecord(assignment))
      } while (claimAgain)
    } catch (error) {
      log.warn({ error: errorText(error) }, 'a claim was not answered')
    } finally {
      claiming = false
      listenWhileFree()
    }
  }

  async function ask(room: Capacity): Promise<Assignment[]> {
    const startedMs = monotonicMs()
    const told = (result: 'jobs' | 'none' | 'failed') => options.claimed(result, (monotonicMs() - startedMs) / 1000)
    try {
      const { assignments } = await bus.request(nodeRequestSubject(nodeId, 'claim'), ClaimRequest, ClaimReply, room, REQUEST_MS)
      told(assignments.length > 0 ? 'jobs' : 'none')
      return assignments
    } catch (error) {
      told('failed')
      throw error
    }
  }

  // Says once that the disk is full, not at each wake-up.
  async function roomOnDisk(): Promise<boolean> {
    const room = await options.hasRoom()
    if (room === diskFull) log.warn({ diskFull: !room }, room ? 'the disk has room again' : 'the disk is too full for another job: nothing is claimed')
    diskFull = !room
    return room
  }

  function begin(record: AttemptRecord): void {
    const { attemptId, jobId, traceparent, tracestate } = record.assignment
    if (running.has(attemptId)) return
    const stop = new AbortController()
    log.info({ jobId, attemptId, traceId: traceIdOf(readTraceContext(traceparent, tracestate)), to: 'preparing' }, 'attempt begun')
    const done = options
      .run(record, stop.signal)
      .catch((error: unknown) => log.error({ attemptId, error: errorText(error) }, 'an attempt broke'))
      .then(() => {
        running.delete(attemptId)
        listenWhileFree()
        void claim()
      })
    running.set(attemptId, { record, stop, done })
  }

  function stopAttempt(attemptId: string, why: StopRequest['why']): void {
    const attempt = running.get(attemptId)
    if (!attempt || attempt.stop.signal.aborted) return
    log.info({ attemptId, why }, 'attempt told to stop')
    attempt.stop.abort(new StopRequest(why))
  }

  async function renew(): Promise<void> {
    const [containers, images] = [await options.listContainers(), await options.listImages()]
    const attempts = [...running.values()].map(({ record }) => ({ attemptId: record.assignment.attemptId, leaseToken: record.assignment.leaseToken }))
    const reply = await bus.request(nodeRequestSubject(nodeId, 'renew'), RenewRequest, RenewReply, { attempts, containers, images }, REQUEST_MS)
    options.renewed(reply)
    for (const attemptId of reply.stale) stopAttempt(attemptId, 'stale')
    for (const attemptId of reply.cancel) stopAttempt(attemptId, 'cancelled')
    if (reply.drain) drain(reply.patient)
    else resume()
    // The fallback of a full disk: wake-ups are not heard then.
    if (diskFull) void claim()
  }

  /** Nothing new; what runs may end, within the limit unless we are patient: the rest is handed back. */
  function drain(patient = false): void {
    if (patient && !stopping) keepRunning()
    else cancelHandBack ??= after(options.drainMs, () => handBack())
    if (draining) return
    draining = true
    log.info({ running: running.size, to: 'draining' }, 'draining')
    listenWhileFree()
    beat()
  }

  function keepRunning(): void {
    cancelHandBack?.()
    cancelHandBack = undefined
  }

  function handBack(): void {
    for (const attemptId of running.keys()) stopAttempt(attemptId, 'interrupted')
  }

  function resume(): void {
    if (!draining || stopping) return
    draining = false
    keepRunning()
    log.info({ running: running.size, to: 'ready' }, 'taking work again')
    beat()
    void claim()
  }

  function beat(): void {
    bus.publish(heartbeatSubject(nodeId), Heartbeat, { state: draining ? 'draining' : 'ready', freeSlots: Math.max(0, free().slots), attempts: running.size })
  }

  function obey(message: Control): void {
    if (message.kind === 'cancel') stopAttempt(message.attemptId, 'cancelled')
    else if (message.kind === 'claim') void claim()
    else if (message.kind === 'drain') drain(message.patient)
    else resume()
  }

  const renewals = createLoop({ name: 'renew', everyMs: options.renewMs, log, round: renew })
  const loops = [
    createLoop({ name: 'heartbeat', everyMs: options.heartbeatMs, log, round: async () => beat() }),
    renewals,
    createLoop({ name: 'claim', everyMs: options.claimPollMs, log, round: claim }),
  ]

  return {
    name: 'agent',
    running: () => [...running.keys()],
    state: () => ({ free: free(), draining, attempts: [...running.values()].map(({ record }) => record) }),
    async start() {
      subscriptions.push(bus.subscribe(controlSubject(nodeId), Control, obey))
      for (const record of options.unfinished) begin(record)
      // What was said while the bus was away is asked for at once.
      bus.onReconnect(() => {
        beat()
        renewals.kick()
        void claim()
      })
      listenWhileFree()
      for (const loop of loops) await loop.start()
    },
    async stop() {
      stopping = true
      drain()
      const ended = Promise.all([...running.values()].map(({ done }) => done))
      const limit = new AbortController()
      await Promise.race([ended, pause(options.drainMs, limit.signal)])
      handBack()
      const graceMs = Math.max(0, ...[...running.values()].map(({ record }) => record.assignment.spec.gracePeriodSeconds * 1000))
      await Promise.race([ended, pause(graceMs + HAND_BACK_MS, limit.signal)])
      limit.abort()
      keepRunning()
      options.leave()
      await ended
      await Promise.all(loops.map((loop) => loop.stop()))
      for (const subscription of subscriptions) subscription.unsubscribe()
    },
  }
}
