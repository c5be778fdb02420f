import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endOf, StepError, StopRequest } from '../../../node-runner/step-error.ts'

const GOING_ON = new AbortController().signal
const engineSays = (statusCode: number, message: string) => Object.assign(new Error(message), { statusCode })

for (const [what, error, cause, nodeFault] of [
  ['a command of the system fails', new Error('mount failed (32): cannot set up loop device'), 'runner_error', true],
  ['the engine is away', Object.assign(new Error('connect ECONNREFUSED /var/run/docker.sock'), { code: 'ECONNREFUSED' }), 'runner_error', true],
  ['the engine is broken', engineSays(500, 'failed to create shim task'), 'runner_error', true],
  ['the engine finds fault with what it is asked for', engineSays(400, 'no command specified'), 'runner_error', false],
  ['the disk is full', engineSays(500, 'mkdir /var/lib/docker/overlay2/x: no space left on device'), 'runner_error', false],
  ['what is thrown is no error', null, 'runner_error', true],
  ['a step says whose fault it is', new StepError('runner_error', 'no network', { transient: true, nodeFault: true }), 'runner_error', true],
  ['a step does not say so', new StepError('image', 'cannot be pulled', { transient: true }), 'image', false],
  ['somebody asked for the stop', new StopRequest('interrupted'), 'interrupted', false],
] as const) {
  test(`${what}: ${cause}, ${nodeFault ? 'the fault of the node' : 'not the fault of the node'}`, () => {
    const end = endOf(error, GOING_ON)
    assert.deepEqual([end.cause, end.nodeFault ?? false], [cause, nodeFault])
  })
}

test('a request to stop counts before what it made fail', () => {
  assert.equal(endOf(engineSays(500, 'killed'), AbortSignal.abort(new StopRequest('interrupted'))).nodeFault, undefined)
})
