import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createLogOrder } from '#bus/log-order.ts'

const message = (seq: number) => ({ seq, chunks: [] })
const numbers = (messages: { seq: number }[]) => messages.map((one) => one.seq)

for (const [what, after, came, inOrder, rest] of [
  ['as they were sent', 0, [1, 2, 3], [1, 2, 3], []],
  ['repeats', 0, [1, 1, 2, 1, 2, 3], [1, 2, 3], []],
  ['one that was sent again after later ones', 0, [1, 3, 4, 2, 3, 4, 5], [1, 2, 3, 4, 5], []],
  ['after a place that was seen', 2, [1, 2, 3, 4], [3, 4], []],
  ['one that never comes', 0, [1, 3, 4], [1], [3, 4]],
  ['a message without a number', 0, [0, 1, 0], [1], []],
] as const) {
  test(`${what}: ${came.join(' ')} → ${inOrder.join(' ')}`, () => {
    const order = createLogOrder(after)
    assert.deepEqual(
      came.flatMap((seq) => numbers(order.accept(message(seq)))),
      inOrder,
    )
    assert.deepEqual(numbers(order.rest()), rest)
    assert.deepEqual(order.rest(), [])
  })
}

test('what the stream has dropped is not waited for', () => {
  const order = createLogOrder(0)
  const got = Array.from({ length: 300 }, (_, i) => numbers(order.accept(message(1000 + i)))).flat()
  assert.deepEqual(
    got,
    Array.from({ length: 300 }, (_, i) => 1000 + i),
  )
})

test('a log that is sent again from any of its last 64 messages comes out whole and in order', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ upTo: fc.integer({ min: 1, max: 64 }), lost: fc.integer({ min: 0, max: 63 }) }), { maxLength: 20 }), (rounds) => {
      const order = createLogOrder(0)
      const got: number[] = []
      let acknowledged = 0
      for (const { upTo, lost } of [...rounds, { upTo: 1, lost: 64 }]) {
        for (let i = 1; i <= upTo; i++) if (i !== lost + 1) got.push(...numbers(order.accept(message(acknowledged + i))))
        acknowledged += Math.min(upTo, lost)
      }
      assert.deepEqual(
        got,
        got.map((_, i) => i + 1),
      )
      assert.ok(got.length >= acknowledged)
    }),
  )
})
