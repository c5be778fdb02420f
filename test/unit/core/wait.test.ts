import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { isAway, mayPass } from '#core/service/away.ts'
import { DeadlineError } from '#core/service/time.ts'
import { StoppedError, UnusableError, untilReady } from '#core/service/wait.ts'

const fault = (message: string, more: Record<string, unknown> = {}) => Object.assign(new Error(message), more)
const named = (name: string, code: string) => Object.assign(new Error(code), { name, code })
const never = new AbortController().signal

for (const [what, error, away, passes] of [
  ['a refused connection', fault('', { code: 'ECONNREFUSED' }), true, true],
  ['a server that starts', fault('the database system is starting up', { code: '57P03' }), true, true],
  ['a server that is full', fault('sorry, too many clients already', { code: '53300' }), true, true],
  ['a name that is not known yet', fault('getaddrinfo EAI_AGAIN postgres'), true, true],
  ['a cause that is away', fault('failed', { cause: fault('socket hang up') }), true, true],
  ['a deadline', new DeadlineError('x', 1), true, true],
  ['NATS that does not answer', named('NatsError', 'TIMEOUT'), true, true],
  ['NATS that refuses the credential', named('NatsError', 'AUTHORIZATION_VIOLATION'), false, false],
  ['a wrong password', fault('password authentication failed', { code: '28P01' }), false, false],
  ['a wrong password within', fault('Connection terminated', { cause: fault('password', { code: '28P01' }) }), true, false],
  ['no such database', fault('database "x" does not exist', { code: '3D000' }), false, false],
  ['a fault of ours', new TypeError('x is undefined'), false, false],
  ['no error at all', undefined, false, false],
] as const) {
  test(`${what}: ${away ? 'away' : 'not away'}, ${passes ? 'may pass' : 'does not pass'}`, () => {
    assert.deepEqual([isAway(error), mayPass(error)], [away, passes])
  })
}

test('what is not ready is tried again, each fault logged once, and the end of it', async () => {
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).error ?? JSON.parse(line).msg) })
  const faults = ['ECONNRESET', 'ECONNRESET']
  const result = await untilReady('it', log, never, async () => {
    const next = faults.pop()
    if (next !== undefined) throw fault(next)
    return 7
  })
  assert.equal(result, 7)
  assert.deepEqual(lines, ['ECONNRESET', 'it answers now'])
})

test('what waiting does not mend is an UnusableError with its reason', async () => {
  await assert.rejects(
    untilReady('it', pino({ level: 'silent' }), never, () => Promise.reject(fault('no', { code: '28P01' }))),
    (error) => error instanceof UnusableError && error.message === 'it cannot be used: no',
  )
})

test('the wait ends with the reason of its signal, also while the work says nothing', async () => {
  const controller = new AbortController()
  const begun = Promise.withResolvers<void>()
  const waiting = untilReady('it', pino({ level: 'silent' }), controller.signal, () => {
    begun.resolve()
    return new Promise(() => undefined)
  })
  await begun.promise
  controller.abort(new StoppedError('SIGTERM'))
  await assert.rejects(waiting, StoppedError)
})
