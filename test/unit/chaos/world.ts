import type { AttemptFact, Expected, Facts, JobFact, Witness } from '../../chaos/check/facts.ts'

/** How an attempt of the world ends, and what becomes of its job. */
export interface AttemptEnd {
  cause: string
  exitCode?: number
  next: 'succeeded' | 'failed' | 'cancelled' | 'queued' | 'held'
  /** What the container wrote down at its end; null: nothing, it was killed. By default its exit code. */
  witness?: number | null
  /** How many lines it printed; by default all, and half of them where it was stopped. */
  lines?: number
}

/** A platform on paper: each step writes every row, event and object that the real one would leave. */
export interface World {
  facts: Facts
  submit(jobId: string, job?: { batchId?: string; held?: boolean; retries?: number; expected?: Partial<Expected> }): void
  queue(jobId: string): void
  assign(jobId: string, nodeId?: string): void
  start(jobId: string): void
  end(jobId: string, end: AttemptEnd): void
  cancel(jobId: string): void
  /** Fails a job that waited in the queue for too long. */
  overdue(jobId: string): void
  batchEvent(batchId: string, type: string): void
}

/** How many lines the jobs of the world print. */
export const LINES = 12

const STARTED_AT_MS = 1_764_000_000_000

/** An empty world with two nodes of two slots. */
export function createWorld(): World {
  const facts: Facts = {
    jobs: [],
    attempts: [],
    batches: [],
    nodes: [
      { id: 'node_a', slots: 2 },
      { id: 'node_b', slots: 2 },
    ],
    expected: new Map(),
    witnesses: new Map(),
    logs: new Map(),
    events: [],
    delivered: [],
    outboxRows: 0,
    webhooks: { events: [], received: [], faults: [] },
    artifacts: [],
    archivedLogs: [],
    objectKeys: ['files/1', 'pending/1'],
    fileKeys: ['files/1'],
    pendingKeys: ['pending/1'],
    leftovers: { containers: [], networks: [], folders: [], mounts: [] },
  }
  let nowMs = STARTED_AT_MS
  const tick = () => (nowMs += 100)

  function event(objectId: string, type: string, state: string | null, attempt: number | null = null): void {
    const row = { id: facts.events.length * 2 + 1, type, objectId, attempt, state }
    facts.events.push(row)
    facts.delivered.push({ ...row })
    // A relay that was killed before it had cleared its outbox.
    if (facts.events.length % 7 === 0) facts.delivered.push(...facts.delivered.slice(-3).map((message) => ({ ...message })))
  }
  function jobOf(id: string): JobFact {
    const job = facts.jobs.find((row) => row.id === id)
    if (!job) throw new Error(`the world has no job ${id}`)
    return job
  }
  function lastAttempt(job: JobFact): AttemptFact {
    const attempt = facts.attempts.find((row) => row.id === job.attemptId)
    if (!attempt) throw new Error(`${job.id} has no attempt yet`)
    return attempt
  }
  function witnessOf(attempt: AttemptFact): Witness | undefined {
    return facts.witnesses.get(`${attempt.jobId}.${attempt.number}`)
  }

  function keep(job: JobFact, attempt: AttemptFact, end: AttemptEnd): void {
    const ran = attempt.startedAtMs !== null
    const whole = ['exit', 'output', 'timeout'].includes(end.cause)
    const count = ran ? (end.lines ?? (whole ? LINES : LINES / 2)) : 0
    const lines = Array.from({ length: count }, (_, i) => `line ${i + 1}`)
    // What was stopped in the middle of a line.
    facts.logs.set(attempt.id, ran && !whole ? [...lines, 'lin'] : lines)
    if (end.cause !== 'lost') {
      facts.archivedLogs.push({ attemptId: attempt.id, key: `logs/${attempt.id}` })
      facts.objectKeys.push(`logs/${attempt.id}`)
    }
    if (end.next !== 'succeeded') return
    for (const path of facts.expected.get(job.id)?.outputs ?? []) {
      const [key, object] = [`artifacts/${attempt.id}/${path}`, { sizeBytes: 1000 + path.length, sha256: 'ab'.repeat(32) }]
      facts.artifacts.push({ id: `art_${attempt.id}_${path}`, jobId: job.id, path, key, ...object, object: { ...object } })
      facts.objectKeys.push(key)
    }
  }

  function finish(job: JobFact, state: string, cause: string, attempt: AttemptFact | null): void {
    Object.assign(job, { state, cause, exitCode: attempt?.exitCode ?? null, finishedAtMs: nowMs })
    event(job.id, `job.${state}`, state, attempt?.number ?? null)
  }

  return {
    facts,
    submit(id, { batchId, held = false, retries = 0, expected = {} } = {}) {
      const rest = { cause: null, exitCode: null, attemptId: null, retriesUsed: 0, infraRetriesUsed: 0, cancelRequestedAtMs: null, finishedAtMs: null }
      facts.jobs.push({ id, batchId: batchId ?? null, state: held ? 'held' : 'queued', retries, ...rest })
      const end = { state: 'succeeded', cause: 'exit', exitCode: 0 }
      facts.expected.set(id, { lines: LINES, exitCodes: [0], end, minAttempts: 0, outputs: [], cancelAcceptedAtMs: null, ...expected })
      event(id, 'job.submitted', held ? 'held' : 'queued')
    },
    queue(id) {
      jobOf(id).state = 'queued'
      event(id, 'job.queued', 'queued')
    },
    assign(id, nodeId = 'node_a') {
      const job = jobOf(id)
      const number = facts.attempts.filter((row) => row.jobId === id).length + 1
      const rest = { slots: 1, state: 'assigned', cause: null, exitCode: null, startedAtMs: null, finishedAtMs: null }
      facts.attempts.push({ id: `att_${id.slice(4)}_${number}`, jobId: id, number, nodeId, assignedAtMs: tick(), ...rest })
      Object.assign(job, { state: 'running', attemptId: `att_${id.slice(4)}_${number}` })
      event(id, 'job.assigned', 'running', number)
    },
    start(id) {
      const attempt = lastAttempt(jobOf(id))
      Object.assign(attempt, { state: 'running', startedAtMs: tick() })
      facts.witnesses.set(`${id}.${attempt.number}`, { starts: [nowMs], ends: [] })
      event(id, 'job.started', 'running', attempt.number)
    },
    end(id, end) {
      const job = jobOf(id)
      const attempt = lastAttempt(job)
      const state =
        end.cause === 'exit' ? (end.exitCode === 0 ? 'succeeded' : 'failed') : ['cancelled', 'lost', 'interrupted'].includes(end.cause) ? end.cause : 'failed'
      Object.assign(attempt, { state, cause: end.cause, exitCode: end.exitCode ?? null, finishedAtMs: tick() })
      const code = end.witness === undefined ? attempt.exitCode : end.witness
      if (code !== null) witnessOf(attempt)?.ends.push({ code, atMs: nowMs - 10 })
      keep(job, attempt, end)
      if (end.next !== 'queued' && end.next !== 'held') return finish(job, end.next, end.next === 'cancelled' ? 'cancelled' : end.cause, attempt)
      if (['exit', 'timeout', 'oom'].includes(end.cause)) job.retriesUsed++
      else if (end.cause !== 'interrupted') job.infraRetriesUsed++
      job.state = end.next
      event(id, 'job.requeued', end.next, attempt.number)
    },
    cancel(id) {
      const job = jobOf(id)
      job.cancelRequestedAtMs = tick()
      const expected = facts.expected.get(id)
      if (expected) Object.assign(expected, { end: { state: 'cancelled', cause: 'cancelled', exitCode: null }, cancelAcceptedAtMs: nowMs + 1 })
      if (job.state === 'running') event(id, 'job.cancel_requested', 'running')
      else finish(job, 'cancelled', 'cancelled', null)
    },
    overdue(id) {
      tick()
      finish(jobOf(id), 'failed', 'queue_timeout', null)
    },
    batchEvent(batchId, type) {
      event(batchId, type, null)
    },
  }
}
