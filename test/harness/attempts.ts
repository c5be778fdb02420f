import assert from 'node:assert/strict'
import { pino } from 'pino'
import type { FinishedReport } from '#bus/messages/report.ts'
import { type ClaimedJob, createClaimStore } from '#store/claims.ts'
import { createDbPool } from '#store/pool.ts'
import { createClaims } from '../../scheduler/claims.ts'
import { type AttemptResult, endAttempt } from '../../scheduler/finish.ts'
import type { Factory } from './factory.ts'

const log = pino({ level: 'silent' })
/** The result of an attempt that went well. */
export const SUCCESS: AttemptResult = {
  cause: 'exit',
  exitCode: 0,
  transient: false,
  message: null,
  warnings: [],
  imageDigest: null,
  startedAtMs: null,
  artifacts: [],
  logSeq: null,
  logArchived: false,
}

/** What scheduler and nodes do with jobs, for tests of what a gateway shows of it. */
export interface Attempts {
  /** Gives the first job of the queue, which must be this one, to a new node. */
  assign(jobId: string): Promise<ClaimedJob>
  /** Asks for work for a node, as it does itself, by default for one slot. */
  claim(nodeId: string, slots?: number): Promise<ClaimedJob[]>
  /** Ends an attempt, by default with success. */
  finish(job: ClaimedJob, change?: Partial<AttemptResult>): Promise<void>
  close(): Promise<void>
}

/** Connects as the scheduler. */
export async function createAttempts(schedulerUrl: string, factory: Factory): Promise<Attempts> {
  const store = createClaimStore(schedulerUrl)
  const db = await createDbPool(schedulerUrl, 2)
  const claim = (nodeId: string, slots = 1) => createClaims(store, log).claim(nodeId, { slots, memoryBytes: 2 ** 30 })
  return {
    claim,
    async assign(jobId) {
      const [job] = await claim(await factory.node())
      assert.equal(job?.jobId, jobId)
      return job
    },
    async finish(job, change = {}) {
      const outcome = await db.transaction((tx) => endAttempt(tx, log, job.nodeId, job.attemptId, job.leaseToken, { ...SUCCESS, ...change }))
      assert.equal(outcome.status, 'ok')
    },
    async close() {
      await Promise.all([store.close(), db.end()])
    },
  }
}

/** What the node of a claimed job reports at its end, by default success. */
export function aFinishedReport(job: Pick<ClaimedJob, 'attemptId' | 'leaseToken'>, change: Partial<FinishedReport> = {}): FinishedReport {
  return {
    kind: 'finished',
    attemptId: job.attemptId,
    leaseToken: job.leaseToken,
    ...SUCCESS,
    warnings: [],
    artifacts: [],
    logSeq: 0,
    finishedAtMs: 0,
    ...change,
  }
}
