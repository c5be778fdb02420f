import { attemptOf, eventOf, expectedOf, jobOf, retell, type Seed, testSeeds, witnessOf } from './seeding.ts'

const FINAL = 'every job is final'
const ONE = 'one accepted outcome for each attempt'
const WITNESS = 'outcomes are what the containers did'
const EXPECTED = 'jobs end as they were made to'
const RETRIES = 'no retry of the user is spent on the infrastructure'
const EXIT_CODES = 'exit codes are the scripts’ own'
const LIFE = 'the events of a job tell one life'
const SLOTS = 'no slot is leaked or taken twice'
const LOGS = 'logs are whole and in order'

const ends: readonly Seed[] = [
  [
    'a job that was accepted and is gone',
    (facts) => {
      facts.jobs = facts.jobs.filter((job) => job.id !== 'job_overdue')
    },
    FINAL,
    /job_overdue was accepted and is not there/,
  ],
  [
    'a job that waits for ever',
    (facts) => {
      Object.assign(jobOf(facts, 'job_overdue'), { state: 'queued', cause: null, finishedAtMs: null })
      retell(
        facts,
        facts.events.filter((event) => event !== eventOf(facts, 'job_overdue', 'job.failed')),
      )
    },
    FINAL,
    /job_overdue is queued/,
  ],
  [
    'an attempt without a cause',
    (facts) => Object.assign(attemptOf(facts, 'att_lost_1'), { cause: null }),
    [ONE, RETRIES],
    /att_lost_1 of job_lost has no outcome/,
  ],
  [
    'an attempt that is never ended keeps its lease',
    (facts) => Object.assign(attemptOf(facts, 'att_interrupted_1'), { state: 'running', cause: null, finishedAtMs: null }),
    [ONE, SLOTS],
    /att_interrupted_1 of job_interrupted has no outcome \(running\)/,
  ],
  [
    'a final state that its cause does not give',
    (facts) => (attemptOf(facts, 'att_lost_1').state = 'interrupted'),
    ONE,
    /att_lost_1 .* is interrupted, by its cause lost/,
  ],
  ['a failed attempt with exit code 0', (facts) => (attemptOf(facts, 'att_cancel_late_1').state = 'failed'), [ONE], /att_cancel_late_1 .* would be succeeded/],
  [
    'two succeeded attempts of one job',
    (facts) => Object.assign(attemptOf(facts, 'att_interrupted_1'), { state: 'succeeded', cause: 'exit', exitCode: 0 }),
    [ONE, WITNESS, LOGS],
    /att_interrupted_1 of job_interrupted is succeeded, and the job was run again\njob_interrupted is succeeded with 2 succeeded attempts/,
  ],
  [
    'a job that succeeded without a succeeded attempt',
    (facts) => Object.assign(attemptOf(facts, 'att_ok_1'), { state: 'interrupted', cause: 'interrupted', exitCode: null }),
    ONE,
    /job_ok is succeeded with 0 succeeded attempts/,
  ],
  [
    'a job that failed where its attempt succeeded',
    (facts) => Object.assign(jobOf(facts, 'job_ok'), { state: 'failed' }),
    [ONE, EXPECTED, LIFE],
    /job_ok is failed and has a succeeded attempt \(att_ok_1\)/,
  ],
  [
    'a job with an exit code that its attempt has not',
    (facts) => (jobOf(facts, 'job_free').exitCode = 4),
    ONE,
    /job_free ended by exit 4, its attempt att_free_1 by exit 9/,
  ],
  [
    'a job with a cause that its attempt has not',
    (facts) => Object.assign(jobOf(facts, 'job_free'), { cause: 'oom', exitCode: 9 }),
    ONE,
    /job_free ended by oom 9/,
  ],
  [
    'a job that ended by an attempt it never had',
    (facts) => Object.assign(jobOf(facts, 'job_overdue'), { cause: 'exit' }),
    [ONE, EXPECTED],
    /job_overdue is failed by exit without an attempt/,
  ],
  [
    'a job that names another attempt as its last',
    (facts) => (jobOf(facts, 'job_free').attemptId = 'att_ok_1'),
    [ONE, RETRIES],
    /job_free names att_ok_1 as its last attempt, it is att_free_1/,
  ],
  [
    'a cancelled job with another cause',
    (facts) => (jobOf(facts, 'job_cancel_queued').cause = 'lost'),
    [ONE, EXPECTED],
    /job_cancel_queued is cancelled by the cause lost/,
  ],
  [
    'a gap in the numbers of the attempts',
    (facts) => {
      facts.attempts = facts.attempts.filter((attempt) => attempt.id !== 'att_interrupted_1')
      facts.witnesses.delete('job_interrupted.1')
    },
    [ONE, LIFE],
    /att_interrupted_2 of job_interrupted has the number 2, it is the 1\. of its job/,
  ],
]

const expectations: readonly Seed[] = [
  [
    'a job made to succeed that failed',
    (facts) => Object.assign(expectedOf(facts, 'job_failing'), { end: { state: 'succeeded', cause: 'exit', exitCode: 0 } }),
    EXPECTED,
    /job_failing was to end succeeded by exit 0, and is failed by exit 3/,
  ],
  [
    'a job that failed with another exit code',
    (facts) => Object.assign(expectedOf(facts, 'job_failing'), { end: { state: 'failed', cause: 'exit', exitCode: 4 } }),
    EXPECTED,
    /by exit 4, and is failed by exit 3/,
  ],
  [
    'a job that failed by another cause',
    (facts) => Object.assign(expectedOf(facts, 'job_timeout'), { end: { state: 'failed', cause: 'oom', exitCode: null } }),
    EXPECTED,
    /job_timeout was to end failed by oom, and is failed by timeout/,
  ],
  [
    'a job that succeeded with too few attempts',
    (facts) => (expectedOf(facts, 'job_retry').minAttempts = 4),
    EXPECTED,
    /job_retry ended succeeded after 3 attempts, it cannot before 4/,
  ],
  [
    'an exit code that the script cannot have',
    (facts) => Object.assign(expectedOf(facts, 'job_retry'), { exitCodes: [0, 6] }),
    EXIT_CODES,
    /att_retry_1 of job_retry exited with 5; its script ends with 0 or 6/,
  ],
]

const witnesses: readonly Seed[] = [
  [
    'a success whose container never ran',
    (facts) => facts.witnesses.delete('job_ok.1'),
    WITNESS,
    /att_ok_1 \(job_ok\.1\) is said to have ended by exit 0, and never ran/,
  ],
  ['a timeout whose container never ran', (facts) => facts.witnesses.delete('job_timeout.1'), WITNESS, /att_timeout_1 .* timeout .*never ran/],
  [
    'a success whose container did not come to its end',
    (facts) => (witnessOf(facts, 'job_ok.1').ends = []),
    WITNESS,
    /att_ok_1 .* by exit with 0; its container says nothing of an end/,
  ],
  [
    'an exit code that is not the container’s',
    (facts) => (witnessOf(facts, 'job_failing.1').ends = [{ code: 0, atMs: 1 }]),
    WITNESS,
    /att_failing_1 .* by exit with 3; its container says 0/,
  ],
  [
    'outputs as the cause where the script failed',
    (facts) => (witnessOf(facts, 'job_kept.1').ends = [{ code: 1, atMs: 1 }]),
    WITNESS,
    /att_kept_1 .* by output with 0; its container says 1/,
  ],
  [
    'a container killed for its memory that ended well',
    (facts) => witnessOf(facts, 'job_oom.1').ends.push({ code: 0, atMs: 1 }),
    WITNESS,
    /att_oom_1 .* killed for its memory/,
  ],
  ['a container that ran twice', (facts) => witnessOf(facts, 'job_lost.1').starts.push(1), WITNESS, /att_lost_1 \(job_lost\.1\) ran 2 times/],
  [
    'a container that ended twice',
    (facts) => witnessOf(facts, 'job_ok.1').ends.push({ code: 0, atMs: 1 }),
    WITNESS,
    /att_ok_1 .* ended 2 times \(0, 0\) and began 1 times/,
  ],
  [
    'a container that ran before its image was there',
    (facts) => facts.witnesses.set('job_image.1', { starts: [1], ends: [] }),
    WITNESS,
    /att_image_1 .* failed by image, before it ran/,
  ],
  [
    'a container that nobody has an attempt for',
    (facts) => facts.witnesses.set('job_ok.2', { starts: [1], ends: [] }),
    WITNESS,
    /a container ran as job_ok\.2/,
  ],
]

testSeeds([...ends, ...expectations, ...witnesses])
