import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ID_PREFIXES, type IdKind, idPattern, newId } from '#core/ids.ts'

for (const kind of Object.keys(ID_PREFIXES) as IdKind[]) {
  test(`ids of ${kind} match their pattern`, () => {
    for (let i = 0; i < 50; i++) assert.match(newId(kind), new RegExp(idPattern(kind)))
  })
}

test('ids sort by the time they were made at', () => {
  const times = [0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 4_000_000_000_000]
  const ids = times.map((time) => newId('job', time))
  assert.deepEqual([...ids].sort(), ids)
})

test('ten thousand ids of one millisecond differ', () => {
  assert.equal(new Set(Array.from({ length: 10_000 }, () => newId('job', 1))).size, 10_000)
})
