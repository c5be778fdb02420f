import { attemptOf, eventOf, expectedOf, jobOf, retell, type Seed, testSeeds, witnessOf } from './seeding.ts'

const RETRIES = 'no retry of the user is spent on the infrastructure'
const CANCELS = 'nothing of a cancelled job begins after the cancel'
const EXPECTED = 'jobs end as they were made to'
const PARALLEL = 'batch parallelism is never exceeded'
const SLOTS = 'no slot is leaked or taken twice'

const retries: readonly Seed[] = [
  [
    'a retry spent on a lost machine',
    (facts) => Object.assign(jobOf(facts, 'job_lost'), { retries: 1, retriesUsed: 1, infraRetriesUsed: 0 }),
    RETRIES,
    /job_lost has spent 1 retries; its attempts say 0\njob_lost was run again 0 times for the infrastructure; its attempts say 1/,
  ],
  [
    'a retry spent on an interruption',
    (facts) => Object.assign(jobOf(facts, 'job_interrupted'), { retries: 1, retriesUsed: 1 }),
    RETRIES,
    /job_interrupted has spent 1 retries; its attempts say 0/,
  ],
  [
    'an interruption counted as trouble',
    (facts) => (jobOf(facts, 'job_interrupted').infraRetriesUsed = 1),
    RETRIES,
    /job_interrupted was run again 1 times for the infrastructure; its attempts say 0/,
  ],
  [
    'a retry spent on an image that was away',
    (facts) => Object.assign(jobOf(facts, 'job_image'), { retries: 1, retriesUsed: 1, infraRetriesUsed: 0 }),
    RETRIES,
    /job_image has spent 1 retries; its attempts say 0/,
  ],
  [
    'a failure of the job itself that cost no retry',
    (facts) => (jobOf(facts, 'job_retry').retriesUsed = 1),
    RETRIES,
    /job_retry has spent 1 retries; its attempts say 2/,
  ],
  [
    'a retry that was spent and then cancelled is forgotten',
    (facts) => (jobOf(facts, 'job_cancel_pause').retriesUsed = 0),
    RETRIES,
    /job_cancel_pause has spent 0 retries; its attempts say 1/,
  ],
  ['more retries than there are', (facts) => (jobOf(facts, 'job_retry').retries = 1), RETRIES, /job_retry has spent 2 of 1 retries/],
  ['a job that fails with retries left', (facts) => (jobOf(facts, 'job_failing').retries = 1), RETRIES, /job_failing failed by exit with 0 of 1 retries spent/],
  [
    'a job that fails by the first lost machine',
    (facts) => {
      const attempt = attemptOf(facts, 'att_failing_1')
      Object.assign(attempt, { state: 'lost', cause: 'lost', exitCode: null })
      Object.assign(jobOf(facts, 'job_failing'), { cause: 'lost', exitCode: null })
    },
    [EXPECTED, RETRIES],
    /job_failing was to end failed by exit 3, and is failed by lost/,
  ],
  [
    'a job that goes on for ever on machines that die',
    (facts) => {
      // Its sixth attempt did not decide it: it was put back into the queue.
      attemptOf(facts, 'att_unlucky_6').finishedAtMs = attemptOf(facts, 'att_unlucky_6').assignedAtMs + 1
      jobOf(facts, 'job_unlucky').infraRetriesUsed = 6
    },
    RETRIES,
    /job_unlucky was run again 6 times for the infrastructure, 5 are allowed/,
  ],
]

const cancels: readonly Seed[] = [
  [
    'a cancel that was accepted and forgotten',
    (facts) => (expectedOf(facts, 'job_ok').cancelAcceptedAtMs = 1),
    CANCELS,
    /the cancel of job_ok was accepted, and its row knows nothing of it/,
  ],
  [
    'a job that is cancelled, and nobody asked',
    (facts) => {
      jobOf(facts, 'job_cancel_queued').cancelRequestedAtMs = null
      expectedOf(facts, 'job_cancel_queued').cancelAcceptedAtMs = null
    },
    CANCELS,
    /job_cancel_queued is cancelled, and nobody asked/,
  ],
  [
    'a job that succeeds in spite of its cancel',
    (facts) => (jobOf(facts, 'job_ok').cancelRequestedAtMs = attemptOf(facts, 'att_ok_1').finishedAtMs),
    CANCELS,
    /job_ok was cancelled while it was open, and is succeeded/,
  ],
  [
    'a claim after the cancel',
    (facts) => (jobOf(facts, 'job_cancel_running').cancelRequestedAtMs = attemptOf(facts, 'att_cancel_running_1').assignedAtMs - 5),
    CANCELS,
    /att_cancel_running_1 of job_cancel_running was claimed 5 ms after the cancel/,
  ],
  [
    'a cancelled job that is run once more',
    (facts) => {
      // It was lost after the cancel, put back into the queue and claimed.
      const first = attemptOf(facts, 'att_cancel_running_1')
      const job = jobOf(facts, 'job_cancel_running')
      const end = first.finishedAtMs as number
      facts.attempts.push({ ...first, id: 'att_cancel_running_2', number: 2, assignedAtMs: end + 1, startedAtMs: null, finishedAtMs: end + 2 })
      Object.assign(first, { state: 'lost', cause: 'lost' })
      Object.assign(job, { attemptId: 'att_cancel_running_2', infraRetriesUsed: 1, finishedAtMs: end + 2 })
      facts.logs.set('att_cancel_running_2', [])
      const last = eventOf(facts, job.id, 'job.cancelled')
      const added = [
        { ...last, type: 'job.requeued', state: 'queued', id: last.id - 0.6 },
        { ...last, type: 'job.assigned', state: 'running', attempt: 2, id: last.id - 0.4 },
      ]
      last.attempt = 2
      retell(facts, [...facts.events, ...added])
    },
    CANCELS,
    /att_cancel_running_2 of job_cancel_running was claimed \d+ ms after the cancel/,
  ],
  [
    'a container that begins long after the cancel',
    (facts) => (witnessOf(facts, 'job_cancel_running.1').starts = [(jobOf(facts, 'job_cancel_running').cancelRequestedAtMs as number) + 20_000]),
    CANCELS,
    /container of attempt att_cancel_running_1 of job_cancel_running began 20000 ms after the cancel/,
  ],
]

const capacity: readonly Seed[] = [
  [
    'more of a batch at once than it may',
    (facts) => Object.assign(facts.batches[0] ?? {}, { parallel: 1 }),
    PARALLEL,
    /batch_1 had 2 attempts at once, 1 are allowed: att_b0_1, att_b1_1 at \d+/,
  ],
  [
    'an attempt of a batch that begins a moment too early',
    (facts) => (attemptOf(facts, 'att_b2_1').assignedAtMs = (attemptOf(facts, 'att_b0_1').finishedAtMs as number) - 1),
    PARALLEL,
    /batch_1 had 3 attempts at once, 2 are allowed: att_b0_1, att_b1_1, att_b2_1/,
  ],
  [
    'more slots taken than the node has',
    (facts) => Object.assign(facts.nodes[0] ?? {}, { slots: 1 }),
    SLOTS,
    /node_a had 2 slots taken at once, it has 1: att_ok_1, att_outputs_1/,
  ],
  ['a wide job on a node that is too full for it', (facts) => (attemptOf(facts, 'att_ok_1').slots = 2), SLOTS, /node_a had 3 slots taken at once, it has 2/],
  [
    'a lease that nobody gave back',
    (facts) => (attemptOf(facts, 'att_lost_1').finishedAtMs = null),
    SLOTS,
    /node_a still has the lease of attempt att_lost_1 of job_lost/,
  ],
  ['an attempt on a node that there is not', (facts) => (attemptOf(facts, 'att_lost_1').nodeId = 'node_x'), SLOTS, /attempt att_lost_1 is on the node node_x/],
]

testSeeds([...retries, ...cancels, ...capacity])
