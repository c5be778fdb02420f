import type { Architecture } from '#core/node.ts'
import { monotonicMs } from '#core/service/time.ts'
import {
  clockAndBoot,
  type FreeRoom,
  freeByHand,
  type LiveWork,
  liveWork,
  type NodeRowFacts,
  nodeFacts,
  pastDurations,
  type WaitingJobs,
  waitingJobs,
} from '#store/machine-facts.ts'
import type { DatabasePool } from '#store/pool.ts'
import type { NodeFacts, PlanInput, Waiting } from '../plan/plan.ts'

/** What Postgres knows of the planner's question. */
export type Facts = Pick<PlanInput, 'nowMs' | 'waiting' | 'nodes'> & { bootSeconds: number | null }

/** What jobs are expected to take of which nothing is known. */
const UNKNOWN_SECONDS = 60
/** What a project's jobs took is looked up anew so often. */
const DURATIONS_MS = 60_000

/** How long jobs of a project and an image are expected to take, in seconds. */
type Expected = (projectId: string, image: string | null) => number

/** Reads the facts. Nobody knows yet which architectures an image has: `archs` are those that all are taken to have. */
export function createFacts(db: DatabasePool, provider: string, archs: readonly Architecture[]): { read(): Promise<Facts> } {
  let durations = new Map<string, number>()
  let known = new Set<string>()
  let readAtMs = Number.NEGATIVE_INFINITY

  async function lookUp(projectIds: readonly string[]): Promise<Expected> {
    const old = monotonicMs() - readAtMs > DURATIONS_MS
    const wanted = [...new Set(projectIds)].filter((id) => old || !known.has(id))
    if (old) [durations, known, readAtMs] = [new Map(), new Set(), monotonicMs()]
    for (const past of wanted.length === 0 ? [] : await pastDurations(db, wanted)) durations.set(`${past.projectId} ${past.image}`, past.seconds)
    for (const id of wanted) known.add(id)
    return (projectId, image) => durations.get(`${projectId} ${image}`) ?? UNKNOWN_SECONDS
  }

  return {
    async read() {
      const [clock, jobs, rows, work, free] = [
        await clockAndBoot(db, provider),
        await waitingJobs(db),
        await nodeFacts(db, provider),
        await liveWork(db, provider),
        await freeByHand(db),
      ]
      const expected = await lookUp([...jobs, ...work].map((job) => job.projectId))
      const workOf = Map.groupBy(work, ({ nodeId }) => nodeId)
      return {
        nowMs: clock.nowMs,
        bootSeconds: clock.bootSeconds,
        waiting: withoutRoom(groupWaiting(jobs, archs, expected), free),
        nodes: rows.map((row) => nodeFactsOf(row, workOf.get(row.nodeId) ?? [], expected, clock.nowMs)),
      }
    },
  }
}

/** Jobs that take the same and are expected to last about as long (by powers of two) are one kind to the planner. */
export function groupWaiting(jobs: readonly WaitingJobs[], archs: readonly Architecture[], expected: Expected): Waiting[] {
  const groups = new Map<string, Waiting>()
  for (const job of jobs) {
    const seconds = expected(job.projectId, job.image)
    const key = `${job.slots} ${job.memoryBytes} ${Math.round(Math.log2(Math.max(1, seconds)))}`
    const group = groups.get(key) ?? {
      slots: job.slots,
      memoryBytes: job.memoryBytes,
      archs,
      jobs: 0,
      oldestWaitSeconds: 0,
      expectedSeconds: 0,
    }
    group.expectedSeconds = (group.expectedSeconds * group.jobs + seconds * job.jobs) / (group.jobs + job.jobs)
    group.jobs += job.jobs
    group.oldestWaitSeconds = Math.max(group.oldestWaitSeconds, job.oldestWaitSeconds)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** What is left of the waiting jobs when nodes that were set up by hand take what fits. */
export function withoutRoom(waiting: readonly Waiting[], free: readonly FreeRoom[]): Waiting[] {
  const rooms = free.map((room) => ({ ...room }))
  return waiting.flatMap((group) => {
    let jobs = group.jobs
    for (const room of rooms) {
      if (!group.archs.includes(room.arch)) continue
      const fit = Math.max(0, Math.min(jobs, Math.floor(room.slots / group.slots), Math.floor(room.memoryBytes / group.memoryBytes)))
      jobs -= fit
      room.slots -= fit * group.slots
      room.memoryBytes -= fit * group.memoryBytes
    }
    return jobs === 0 ? [] : [{ ...group, jobs }]
  })
}

function nodeFactsOf(row: NodeRowFacts, own: readonly LiveWork[], expected: Expected, nowMs: number): NodeFacts {
  const { freeSinceMs, ...facts } = row
  return {
    ...facts,
    usedSlots: own.reduce((sum, attempt) => sum + attempt.slots, 0),
    usedMemoryBytes: own.reduce((sum, attempt) => sum + attempt.memoryBytes, 0),
    busyUntilMs: own.length === 0 ? null : Math.max(...own.map((attempt) => endOf(attempt, expected(attempt.projectId, attempt.image), nowMs))),
    idleSinceMs: own.length === 0 ? freeSinceMs : null,
  }
}

/** One that takes longer than expected is given a quarter of what it has taken: the longer it runs, the longer it will. */
function endOf(attempt: LiveWork, expectedSeconds: number, nowMs: number): number {
  const dueMs = attempt.assignedAtMs + expectedSeconds * 1000
  return dueMs > nowMs ? dueMs : nowMs + Math.max(1000, (nowMs - attempt.assignedAtMs) / 4)
}
