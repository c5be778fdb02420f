import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { cleanText, createLog } from '#core/service/log.ts'
import { LOG_FIELDS } from '#core/service/log-fields.ts'
import { fieldsIn, loggedFields } from '../../harness/log-calls.ts'

function capture() {
  const lines: string[] = []
  const write = (line: unknown, _: unknown, done: () => void) => {
    lines.push(String(line))
    done()
  }
  return { lines, log: createLog('test', 'info', new Writable({ write })) }
}

test('only known fields are written, at every depth, and the names of others are told', () => {
  const { lines, log } = capture()
  const fields = {
    jobId: 'job_1',
    token: 's3cret',
    env: { PASSWORD: 's3cret' },
    removed: [{ path: '/a', seed: 's3cret' }],
    error: { status: 1, jwt: 's3cret' },
  }
  log.info(fields, 'a line')
  log.debug('below the level')
  assert.equal(lines.length, 1)
  assert.doesNotMatch(lines[0] ?? '', /s3cret/)
  const line = JSON.parse(lines[0] ?? '')
  assert.deepEqual([line.name, line.msg, line.jobId, line.removed, line.error], ['test', 'a line', 'job_1', [{ path: '/a' }], { status: 1 }])
  assert.deepEqual(line.dropped, ['token', 'env', 'removed.seed', 'error.jwt'])
  assert.equal(line.time.slice(-1), 'Z')
})

test('fields of a child log are filtered as well', () => {
  const { lines, log } = capture()
  log.child({ requestId: 'r', authorization: 's3cret' }).child({ cookie: 's3cret', nodeId: 'n' }).info({ ms: 1 }, 'a line')
  assert.doesNotMatch(lines[0] ?? '', /s3cret/)
  const line = JSON.parse(lines[0] ?? '')
  assert.deepEqual([line.requestId, line.nodeId, line.ms], ['r', 'n', 1])
})

test('an error that is logged whole loses what it should not say', () => {
  const { lines, log } = capture()
  const error = Object.assign(new TypeError('connect to postgres://rgrid:p@ss/w:ord@db:5432/x failed'), { config: { password: 's3cret' } })
  log.error(error, 'a line')
  log.error({ error }, 'a line')
  for (const text of lines) assert.doesNotMatch(text, /s3cret|p@ss|w:ord/)
  assert.deepEqual(
    [JSON.parse(lines[0] ?? '').err.type, JSON.parse(lines[1] ?? '').error.message],
    ['TypeError', 'connect to postgres://[cut]@db:5432/x failed'],
  )
})

test('bytes, cycles and depth do not get through', () => {
  const { lines, log } = capture()
  const cycle: Record<string, unknown> = {}
  cycle.detail = cycle
  log.info({ detail: cycle, message: Buffer.from('s3cret'), removed: 10n, attempts: undefined, error: null }, 'a line')
  const line = JSON.parse(lines[0] ?? '')
  assert.deepEqual([line.message, line.removed, line.error, 'attempts' in line], ['[cut]', '10', null, false])
})

test('addresses lose credentials and queries, and keys go', () => {
  for (const [text, cleaned] of [
    ['GET http://s3:8473/rgrid/a?X-Amz-Signature=abc&x=1 failed', 'GET http://s3:8473/rgrid/a?[cut] failed'],
    ['nats://user:pa?ss@host:4222', 'nats://[cut]@host:4222'],
    ['"https://a.example/x#token=1" and https://b.example/', '"https://a.example/x?[cut]" and https://b.example/'],
    ['key rgrid_live_abcdefgh_ijklmnop is bad', 'key [cut] is bad'],
    ['jwt eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln', 'jwt [cut]'],
    ['50 % of a/b?c were kept', '50 % of a/b?c were kept'],
  ] as const)
    assert.equal(cleanText(text), cleaned)
})

/** Where fields do not stand in the call itself: what they are, looked at by hand. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'endIn(report)': ['cause', 'exitCode'],
  seen: ['deliveryId', 'endpointId', 'type', 'status', 'error'],
  bindings: ['requestId'],
}

test('every field that the code logs is known, and every known field is used', () => {
  const known = Object.keys(LOG_FIELDS)
  const used = new Set<string>(['level', 'time', 'pid', 'name', 'msg', 'dropped', 'err', 'type', 'message', 'stack', 'requestId'])
  const found = loggedFields()
  assert.ok(found.length > 100)
  for (const { at, name, kind } of found) {
    const names = kind === 'field' ? [name] : ELSEWHERE[name]
    assert.ok(names, `${at}: the fields of ${name} cannot be read from here; write them out`)
    for (const one of names) {
      assert.ok(known.includes(one), `${at}: ${one} is no field of core/service/log-fields.ts, it would be dropped`)
      used.add(one)
    }
  }
  assert.deepEqual(
    known.filter((name) => !used.has(name)),
    [],
  )
})

test('fields are found in calls of every form', () => {
  const text =
    "log.info({ a, b: f({ no: 1 }), ...rest(x), 'c': `d, }` }, 'm')\ndeps.log.warn(\n  {\n    e: 1,\n  },\n 'x')\nlog.info('only')\nlog.warn(seen, 'x')"
  assert.deepEqual(
    fieldsIn('x.ts', text).map(({ name, kind }) => `${kind} ${name}`),
    ['field a', 'field b', 'spread rest(x)', 'field c', 'field e', 'variable seen'],
  )
})
