import type { ClaimRequest } from '#bus/messages/claim.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { monotonicMs } from '#core/service/time.ts'
import { parseTraceContext, traceIdOf } from '#core/service/trace-context.ts'
import type { ClaimedJob, ClaimStore } from '#store/claims.ts'
import { createHandovers, type Handovers } from './handovers.ts'
import { type Leave, planClaims, searchElsewhere, type Wish } from './plan-claims.ts'

interface Waiting extends Wish {
  answer(jobs: ClaimedJob[]): void
  fail(error: unknown): void
}

/** Answers nodes that ask for work. */
export interface Claims {
  claim(nodeId: string, request: ClaimRequest): Promise<ClaimedJob[]>
}

/** What claims may be told of. */
export interface ClaimsOptions {
  /** Lets a node ask for work now; may be lost. */
  nudge?(nodeId: string): void
  /** Whether jobs go to nodes that have their image, or live long enough, before others; true unless it is to be measured. */
  preferences?: boolean
  /** For about how long a machine that was bought takes work. */
  lifetimeSeconds?: number
}

const LIFETIME_SECONDS = 3600

/**
 * All claims that wait in this process are answered together by one SKIP LOCKED statement: while one round is at the
 * database the next ones gather. One client that claims many at a time is quicker than many that claim one
 * (docs/DB_QUEUE.md).
 */
export function createClaims(store: ClaimStore, log: Log, options: ClaimsOptions = {}): Claims {
  const handovers = createHandovers(monotonicMs)
  let waiting: Waiting[] = []
  let busy = false

  async function run(): Promise<void> {
    if (busy) return
    busy = true
    while (waiting.length > 0) {
      const round = waiting
      waiting = []
      await answerRound(store, log, round, handovers, options).catch((error: unknown) => {
        log.warn({ claims: round.length, error: errorText(error) }, 'claims failed; the nodes will ask again')
        for (const claim of round) claim.fail(error)
      })
    }
    busy = false
  }

  return {
    claim(nodeId, request) {
      const { promise, resolve, reject } = Promise.withResolvers<ClaimedJob[]>()
      waiting.push({ nodeId, slots: request.slots, memoryBytes: request.memoryBytes, answer: resolve, fail: reject })
      void run()
      return promise
    },
  }
}

async function answerRound(store: ClaimStore, log: Log, round: readonly Waiting[], handovers: Handovers, options: ClaimsOptions): Promise<void> {
  const nodeIds = [...new Set(round.map((claim) => claim.nodeId))].sort()
  const slots = round.reduce((sum, claim) => sum + claim.slots, 0)
  const memoryBytes = Math.max(...round.map((claim) => claim.memoryBytes))
  for (const nodeId of nodeIds) handovers.asked(nodeId)
  const { preferences = true, lifetimeSeconds = LIFETIME_SECONDS } = options
  let leaves: Leave[] = []
  const jobs = await store.claim(
    nodeIds,
    { slots, memoryBytes },
    {
      search: (capacity, candidates) => (preferences ? searchElsewhere(capacity, candidates, lifetimeSeconds) : undefined),
      choose(capacity, candidates, elsewhere) {
        const known = preferences ? capacity : capacity.map((node) => ({ ...node, images: [], ageSeconds: null }))
        const hints = { elsewhere: handovers.available(elsewhere), mayLeave: handovers.mayLeave, lifetimeSeconds }
        const plan = planClaims(round, known, candidates, hints)
        leaves = plan.leaves
        return plan.picks
      },
    },
  )
  for (const leave of leaves) handovers.left(leave)
  for (const job of jobs) {
    const traceId = traceIdOf(parseTraceContext(job.traceContext))
    log.info({ jobId: job.jobId, attemptId: job.attemptId, nodeId: job.nodeId, traceId, from: 'queued', to: 'running' }, 'job assigned')
  }
  const answered = new Set<string>()
  for (const claim of round) {
    // A node that asked twice in one round gets everything with the first answer.
    claim.answer(answered.has(claim.nodeId) ? [] : jobs.filter((job) => job.nodeId === claim.nodeId))
    answered.add(claim.nodeId)
  }
  // Those that were left something, and then those who asked: there may be more for them, or the same if nobody comes for it.
  if (leaves.length > 0) for (const nodeId of new Set([...leaves.map((leave) => leave.nodeId), ...nodeIds])) options.nudge?.(nodeId)
}
