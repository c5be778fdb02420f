import type { ClaimRequest } from '#bus/messages/claim.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { parseTraceContext, traceIdOf } from '#core/service/trace-context.ts'
import type { ClaimedJob, ClaimStore } from '#store/claims.ts'
import { planClaims, type Wish } from './plan-claims.ts'

interface Waiting extends Wish {
  answer(jobs: ClaimedJob[]): void
  fail(error: unknown): void
}

/** Answers nodes that ask for work. */
export interface Claims {
  claim(nodeId: string, request: ClaimRequest): Promise<ClaimedJob[]>
}

/**
 * All claims that wait in this process are answered together by one SKIP LOCKED statement: while one round is at the
 * database the next ones gather. One client that claims many at a time is quicker than many that claim one
 * (docs/DB_QUEUE.md).
 */
export function createClaims(store: ClaimStore, log: Log): Claims {
  let waiting: Waiting[] = []
  let busy = false

  async function run(): Promise<void> {
    if (busy) return
    busy = true
    while (waiting.length > 0) {
      const round = waiting
      waiting = []
      await answerRound(store, log, round).catch((error: unknown) => {
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

async function answerRound(store: ClaimStore, log: Log, round: readonly Waiting[]): Promise<void> {
  const nodeIds = [...new Set(round.map((claim) => claim.nodeId))].sort()
  const slots = round.reduce((sum, claim) => sum + claim.slots, 0)
  const memoryBytes = Math.max(...round.map((claim) => claim.memoryBytes))
  const jobs = await store.claim(nodeIds, { slots, memoryBytes }, (capacity, candidates) => planClaims(round, capacity, candidates))
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
}
