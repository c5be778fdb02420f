import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RGridError } from '#core/errors.ts'
import { CAPACITY_SHORTAGES, type Explanation, PAUSES, REASON_CODES, type Reason } from '#core/explain.ts'
import { adviceText, kindOf, type Waiting, waitingText } from '../../../cli/wait/notice.ts'
import { createTeller, pauseMs, type TellerOptions } from '../../../cli/wait/teller.ts'

const ID = 'job_1'
const AT = '2026-01-01T00:00:00.000Z'
const PLACE = { ahead: 3, orMore: false }

/** One reason of each code. */
const REASONS = {
  final: { code: 'final', details: { state: 'failed', cause: 'exit', exitCode: 1, message: null } },
  running: { code: 'running', details: { attemptId: 'att_1', attempt: 1, nodeId: 'node_1', phase: 'running', since: AT, cancelRequested: false } },
  parallelism: { code: 'parallelism', details: { batchId: 'batch_1', parallel: 2, underWay: 2 } },
  backoff: { code: 'backoff', details: { cause: 'exit', spends: 'retry', retry: 1, of: 3, at: AT } },
  not_before: { code: 'not_before', details: { at: AT } },
  too_large: { code: 'too_large', details: { slots: 8, memoryBytes: 1, largest: { slots: 4, memoryBytes: 1 } } },
  paused: { code: 'paused', details: { cause: 'drained' } },
  quota: { code: 'quota', details: { scope: 'account', limit: 2, running: 2, ...PLACE } },
  queue: { code: 'queue', details: { ...PLACE, estimatedSeconds: null, again: null } },
  booting: { code: 'booting', details: { nodeId: 'node_1', state: 'booting', serverType: 'cx23', location: 'fsn1', since: AT, readyAt: AT } },
  budget: { code: 'budget', details: { provider: 'hetzner', since: AT } },
  capacity: { code: 'capacity', details: { provider: 'hetzner', shortage: 'limit', error: null, since: AT, retryAt: null, cells: [] } },
  no_nodes: { code: 'no_nodes', details: { provider: null, lost: 0, leaving: 0 } },
} as const satisfies { [Code in Reason['code']]: Extract<Reason, { code: Code }> }

const explained = (reason: Reason, message = `waiting: ${reason.code}`): Explanation => ({ ...reason, jobId: ID, state: 'queued', message })
const waiting = (reason: Reason, message?: string): Waiting => ({ subject: ID, id: ID, explanation: explained(reason, message) })

/** What is told of answers that come one after the other; an Error is one that says no. `again`: it started in between, and waits another time. */
async function tellingOf(answers: readonly (Reason | Error | 'again' | undefined)[], anew = true) {
  const told: string[] = []
  const pauses: number[] = []
  const troubles: unknown[] = []
  const left = [...answers]
  let asked = 0
  const over = Promise.withResolvers<void>()
  const options: TellerOptions = {
    anew,
    async ask() {
      asked++
      const answer = left.shift()
      if (answer instanceof Error) throw answer
      return answer === undefined || answer === 'again' ? undefined : waiting(answer)
    },
    tell: ({ explanation }) => told.push(explanation.code),
    trouble: (error) => troubles.push(error),
    async pause(ms, signal) {
      pauses.push(ms)
      if (left[0] === 'again') {
        left.shift()
        teller.hear(false)
        teller.hear(true)
      } else if (left.length === 0) {
        teller.hear(false)
        assert.ok(signal.aborted)
        over.resolve()
      }
    },
  }
  const teller = createTeller(options)
  teller.hear(true)
  // It ends by itself where asking is of no use any more.
  await Promise.race([over.promise, new Promise<void>((resolve) => setImmediate(resolve))])
  return { told, pauses, troubles, asked }
}

test('a reason is told once, however its counts and times go on', async () => {
  const { booting, queue, quota, no_nodes } = REASONS
  const { told } = await tellingOf([
    no_nodes,
    { code: 'no_nodes', details: { ...no_nodes.details, lost: 1 } },
    { code: 'booting', details: { ...booting.details, state: 'planned' } },
    { code: 'booting', details: { ...booting.details, state: 'creating', nodeId: 'node_2' } },
    booting,
    { code: 'booting', details: { ...booting.details, readyAt: '2026-01-01T00:01:00.000Z' } },
    queue,
    { code: 'queue', details: { ...queue.details, ahead: 2, estimatedSeconds: 30 } },
    quota,
    { code: 'quota', details: { ...quota.details, ahead: 1, running: 3 } },
    { code: 'quota', details: { ...quota.details, limit: 1 } },
  ])
  assert.deepEqual(told, ['no_nodes', 'booting', 'booting', 'queue', 'quota', 'quota'])
})

test('what matters to the user is another kind, what ticks is not', () => {
  const { capacity, paused, backoff, no_nodes, queue } = REASONS
  const kinds: Reason[] = [
    ...Object.values(REASONS),
    ...CAPACITY_SHORTAGES.filter((shortage) => shortage !== 'limit').map(
      (shortage): Reason => ({ code: 'capacity', details: { ...capacity.details, shortage } }),
    ),
    ...PAUSES.filter((cause) => cause !== paused.details.cause).map((cause): Reason => ({ code: 'paused', details: { cause } })),
    { code: 'backoff', details: { ...backoff.details, retry: 2 } },
    { code: 'no_nodes', details: { ...no_nodes.details, provider: 'hetzner' } },
    { code: 'queue', details: { ...queue.details, again: { cause: 'lost', attempts: 1 } } },
  ]
  assert.equal(new Set(kinds.map(kindOf)).size, kinds.length)
  assert.deepEqual(Object.keys(REASONS), REASON_CODES)
  assert.equal(kindOf({ code: 'capacity', details: { ...capacity.details, retryAt: AT, error: 'x' } }), kindOf(capacity))
})

test('a job that waits another time is told of anew, a batch only of what is another reason', async () => {
  assert.deepEqual((await tellingOf([REASONS.queue, 'again', REASONS.queue])).told, ['queue', 'queue'])
  assert.deepEqual((await tellingOf([REASONS.queue, 'again', REASONS.queue, REASONS.no_nodes], false)).told, ['queue', 'no_nodes'])
})

test('it is asked after a grace, then less and less often, and no more once it has started', async () => {
  const { pauses, asked } = await tellingOf([REASONS.queue, REASONS.queue, undefined])
  assert.equal(asked, 3)
  for (const [index, leastMs] of [3000, 3000, 4500].entries()) {
    const ms = pauses[index] ?? 0
    assert.ok(ms >= leastMs && ms <= leastMs * 1.25, `${index}: ${ms}`)
  }
  assert.ok(pauseMs(100, 0) >= 30_000 && pauseMs(100, 0) <= 37_500)
  // Until the first of next month: more than a timer takes.
  assert.ok(pauseMs(0, 31 * 86_400) <= 4_500_000)
})

test('what comes when it has started already is not told', async () => {
  const told: Waiting[] = []
  const teller = createTeller({
    anew: true,
    async ask() {
      teller.hear(false)
      return waiting(REASONS.queue)
    },
    tell: (what) => told.push(what),
    trouble: assert.fail,
    pause: async () => undefined,
  })
  teller.hear(true)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(told, [])
})

test('a gateway that is away or busy is asked again, not before it says', async () => {
  const busy = new RGridError('limit_exceeded', 'too many requests', { retryAfterSeconds: 60 })
  const { told, pauses, troubles } = await tellingOf([new RGridError('unavailable', 'away'), busy, REASONS.queue, undefined])
  assert.deepEqual([told, troubles], [['queue'], []])
  assert.ok((pauses[1] ?? 0) < 6000 && (pauses[2] ?? 0) >= 60_000 && (pauses[3] ?? 0) < 13_000, String(pauses))
})

test('a key that may not ask is not asked with again, and nothing is said', async () => {
  for (const code of ['forbidden', 'unauthenticated', 'not_found'] as const) {
    const { told, troubles, asked } = await tellingOf([new RGridError(code, 'no'), REASONS.queue])
    assert.deepEqual([told, troubles, asked], [[], [], 1])
  }
})

test('what should not have happened is said, and nothing is asked any more', async () => {
  for (const error of [new RGridError('internal', 'broken'), new TypeError('a bug')]) {
    const { told, troubles, asked } = await tellingOf([error, REASONS.queue])
    assert.deepEqual([told, troubles, asked], [[], [error], 1])
  }
})

test('the line has the words of the explanation, and what to do where waiting alone does not help', () => {
  const { no_nodes, too_large, queue, booting, quota, paused } = REASONS
  assert.equal(
    waitingText(waiting(no_nodes, 'waiting: there is no machine that could take it')),
    'job_1: waiting: there is no machine that could take it; it starts when a machine is set up or comes back (operators: rgrid nodes); end it: rgrid cancel job_1',
  )
  assert.match(waitingText(waiting(too_large)), /; it can never start like this: give it less CPU or memory; end this one: rgrid cancel job_1$/)
  assert.match(
    waitingText(waiting({ code: 'quota', details: { ...quota.details, limit: 0 } })),
    /; it starts when the limit is raised; end it: rgrid cancel job_1$/,
  )
  assert.match(waitingText(waiting(paused)), /; it starts when a machine may work again \(operators: rgrid nodes resume NODE\)$/)
  for (const reason of [queue, booting]) {
    assert.equal(waitingText(waiting(reason)), `job_1: waiting: ${reason.code}`)
    assert.equal(adviceText(waiting(reason)), undefined)
  }
  assert.equal(adviceText(waiting(paused)), 'job_1: it starts when a machine may work again (operators: rgrid nodes resume NODE)')
})

test('control characters in names and in what a provider said are shown, not obeyed, and it stays one line', () => {
  const { capacity } = REASONS
  const told: Waiting = {
    subject: 'batch_1: 2 jobs, such as \u001b]0;a',
    id: 'batch_1',
    explanation: explained({ code: 'capacity', details: { ...capacity.details, provider: 'h\u009bx' } }, 'waiting: it said\n\u001b[2J\u202eno'),
  }
  assert.equal(
    waitingText(told),
    'batch_1: 2 jobs, such as \\x1b]0;a: waiting: it said\\x0a\\x1b[2J\\u202eno; it starts when a machine has room, or h\\x9bx allows more',
  )
})
