import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { attemptStateFor, backoffSeconds, decide, exitStatus, isNodeFault, MAX_ATTEMPTS, MAX_INFRA_RETRIES } from '#core/job/outcome.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { CAUSES } from '#core/job/state.ts'

const POLICY: Pick<ResolvedSpec, 'retries' | 'backoff' | 'retryOn'> = {
  retries: 2,
  backoff: { initialSeconds: 1, factor: 2, maxSeconds: 300 },
  retryOn: { exitCodes: null, oom: true, timeout: true },
}
const ONLY_75: ResolvedSpec['retryOn'] = { ...POLICY.retryOn, exitCodes: [75] }
const FRESH = { retriesUsed: 0, infraRetriesUsed: 0, number: 1 }
const end = (cause: (typeof CAUSES)[number], exitCode: number | null = null, transient = false) => ({ cause, exitCode, transient })

for (const [what, policy, used, ended, cancel, expected] of [
  ['exit 0 succeeds', {}, {}, end('exit', 0), false, { to: 'succeeded' }],
  ['exit 1 spends a retry', {}, {}, end('exit', 1), false, { to: 'held', spends: 'retry', delaySeconds: 1, reason: 'retry 1 of 2' }],
  ['the pauses grow', {}, { retriesUsed: 1 }, end('exit', 1), false, { to: 'held', spends: 'retry', delaySeconds: 2, reason: 'retry 2 of 2' }],
  ['the retries run out', {}, { retriesUsed: 2 }, end('exit', 1), false, { to: 'failed' }],
  ['no retries, no retry', { retries: 0 }, {}, end('exit', 1), false, { to: 'failed' }],
  ['a timeout spends a retry', {}, {}, end('timeout'), false, { to: 'held', spends: 'retry', delaySeconds: 1, reason: 'retry 1 of 2' }],
  ['out of memory is not retried unless wanted', { retryOn: { ...POLICY.retryOn, oom: false } }, {}, end('oom', 137), false, { to: 'failed' }],
  ['a timeout is not retried unless wanted', { retryOn: { ...POLICY.retryOn, timeout: false } }, {}, end('timeout'), false, { to: 'failed' }],
  ['an exit code that is not listed fails', { retryOn: ONLY_75 }, {}, end('exit', 1), false, { to: 'failed' }],
  [
    'no pause means the queue at once',
    { backoff: { initialSeconds: 0, factor: 2, maxSeconds: 300 } },
    {},
    end('exit', 1),
    false,
    { to: 'queued', spends: 'retry', delaySeconds: 0, reason: 'retry 1 of 2' },
  ],
  [
    'a lost machine spends no retry',
    { retries: 0 },
    {},
    end('lost'),
    false,
    { to: 'queued', spends: 'infra', delaySeconds: 0, reason: 'run again after lost, 1 of at most 5' },
  ],
  [
    'trouble with a registry that may pass spends no retry',
    { retries: 0 },
    {},
    end('image', null, true),
    false,
    { to: 'held', spends: 'infra', delaySeconds: 1, reason: 'run again after image, 1 of at most 5' },
  ],
  [
    'a node that stops or drains spends nothing, however often',
    {},
    { infraRetriesUsed: MAX_INFRA_RETRIES, number: 40 },
    end('interrupted'),
    false,
    { to: 'queued', spends: 'nothing', delaySeconds: 0, reason: 'run again after interrupted' },
  ],
  ['but not for ever', {}, { number: MAX_ATTEMPTS }, end('interrupted'), false, { to: 'failed' }],
  [
    'preparing that takes too long is tried again',
    {},
    {},
    end('prepare_timeout', null, true),
    false,
    { to: 'held', spends: 'infra', delaySeconds: 1, reason: 'run again after prepare_timeout, 1 of at most 5' },
  ],
  ['an image that is not there fails', {}, {}, end('image'), false, { to: 'failed' }],
  ['a job that kills its machines does not loop for ever', {}, { infraRetriesUsed: MAX_INFRA_RETRIES }, end('lost'), false, { to: 'failed' }],
  ['who asked to cancel gets cancelled, whatever the end', {}, {}, end('exit', 0), true, { to: 'cancelled' }],
] as const) {
  test(what, () => assert.deepEqual(decide({ ...POLICY, ...policy }, { ...FRESH, ...used }, ended, cancel), expected))
}

test('whatever happens, a job comes to an end', () => {
  const ends = fc.record({ cause: fc.constantFrom(...CAUSES), exitCode: fc.option(fc.integer({ min: 0, max: 255 })), transient: fc.boolean() })
  fc.assert(
    fc.property(fc.array(ends, { minLength: 300, maxLength: 300 }), fc.integer({ min: 0, max: 10 }), (attempts, retries) => {
      const used = { ...FRESH }
      for (const attempt of attempts) {
        const decision = decide({ ...POLICY, retries }, used, attempt, false)
        if (!('spends' in decision)) return
        if (decision.spends === 'retry') used.retriesUsed++
        if (decision.spends === 'infra') used.infraRetriesUsed++
        used.number++
        assert.ok(used.retriesUsed <= retries && used.infraRetriesUsed <= MAX_INFRA_RETRIES)
      }
      assert.fail('three hundred attempts and no end')
    }),
  )
})

test('a pause is never longer than the longest', () => assert.equal(backoffSeconds(POLICY.backoff, 1000), 300))

test('an attempt’s final state follows from its cause', () => {
  const states = CAUSES.map((cause) => attemptStateFor(end(cause, 1)))
  assert.deepEqual(states, ['failed', 'failed', 'failed', 'cancelled', 'failed', 'failed', 'failed', 'failed', 'failed', 'lost', 'interrupted', 'failed'])
  assert.equal(attemptStateFor(end('exit', 0)), 'succeeded')
})

for (const [state, cause, exitCode, status] of [
  ['succeeded', 'exit', 0, 0],
  ['failed', 'exit', 7, 7],
  ['failed', 'timeout', null, 124],
  ['failed', 'oom', 137, 137],
  ['failed', 'image', null, 125],
  ['failed', 'lost', null, 125],
  ['cancelled', 'cancelled', null, 130],
] as const) {
  test(`rgrid run ends with ${status} when the job ${state} by ${cause}`, () => assert.equal(exitStatus({ state, cause, exitCode }), status))
}

for (const cause of CAUSES) {
  const said = cause === 'runner_error' || cause === 'interrupted'
  const whose = cause === 'lost' ? 'the node’s fault' : said ? 'the node’s fault when it says so' : 'never the node’s fault'
  test(`${cause} is ${whose}`, () => {
    assert.equal(isNodeFault({ cause }), cause === 'lost')
    assert.equal(isNodeFault({ cause, nodeFault: false }), cause === 'lost')
    assert.equal(isNodeFault({ cause, nodeFault: true }), cause === 'lost' || said)
  })
}
