import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  anyNodeRequestSubject,
  eventSubject,
  heartbeatSubject,
  logSubject,
  NODE_REQUESTS,
  nodeIdOf,
  nodePermissions,
  nodeRequestSubject,
  projectEventsSubject,
  REQUESTS_TAKEN,
  wakeSubject,
} from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'

const nodeId = newId('node')

/** Whether a NATS pattern takes a subject. */
function takes(pattern: string, subject: string): boolean {
  const parts = subject.split('.')
  const wanted = pattern.split('.')
  return (
    wanted.every((part, i) => (part === '>' ? i < parts.length : part === '*' || part === parts[i])) &&
    (wanted.at(-1) === '>' || wanted.length === parts.length)
  )
}

test('the node of a subject is told from it', () => {
  for (const subject of [
    heartbeatSubject(nodeId),
    logSubject(nodeId, newId('attempt')),
    ...NODE_REQUESTS.map((request) => nodeRequestSubject(nodeId, request)),
  ])
    assert.equal(nodeIdOf(subject), nodeId)
})

test('the scheduler hears each request of each node', () => {
  for (const request of NODE_REQUESTS) assert.ok(takes(anyNodeRequestSubject(request), nodeRequestSubject(nodeId, request)))
})

test('no right of one node reaches a subject of another', () => {
  const other = newId('node')
  const { pub, sub } = nodePermissions(nodeId, 'default')
  for (const pattern of [...pub.allow, ...sub.allow]) {
    assert.ok(!takes(pattern.split(' ')[0] ?? '', REQUESTS_TAKEN), 'what gateways tell each other')
    assert.ok(!takes(pattern.split(' ')[0] ?? '', heartbeatSubject(other)))
    assert.ok(!takes(pattern.split(' ')[0] ?? '', logSubject(other, newId('attempt'))))
    for (const request of NODE_REQUESTS) assert.ok(!takes(pattern.split(' ')[0] ?? '', nodeRequestSubject(other, request)))
  }
  // The prefix of an inbox is a whole part of a subject: the id of one node is never the beginning of another's.
  assert.ok(sub.allow.some((pattern) => pattern === `_INBOX_${nodeId}.>`))
})

test('a node may make each of its requests', () => {
  const { pub } = nodePermissions(nodeId, 'default')
  for (const request of NODE_REQUESTS) assert.ok(pub.allow.some((pattern) => takes(pattern, nodeRequestSubject(nodeId, request))))
})

test('what is no id cannot get into a subject', () => {
  for (const text of ['', '*', '>', 'a.b', 'a b', 'a\r\nPUB rgrid.wake.default 2\r\n{}', 'a\t', 'x'.repeat(101)]) {
    assert.throws(() => eventSubject('acc_1', 'proj_1', text), /part of a subject/)
    assert.throws(() => projectEventsSubject('acc_1', text), /part of a subject/)
    assert.throws(() => logSubject(text, 'att_1'), /part of a subject/)
    assert.throws(() => wakeSubject(text), /part of a subject/)
    assert.throws(() => nodePermissions(text, 'default'), /part of a subject/)
  }
})
