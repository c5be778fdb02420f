import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatBytes, parseBytes, parseCpuMillis } from '#core/job/quantity.ts'

for (const [value, bytes] of [
  [512, 512],
  ['512', 512],
  ['1k', 1000],
  ['1Ki', 1024],
  ['512Mi', 512 * 2 ** 20],
  ['1.5Gi', 1.5 * 2 ** 30],
  ['1.5G', 1_500_000_000],
  ['1Ti', 2 ** 40],
  ['512Q', undefined],
  ['512 Mi', undefined],
  ['-1', undefined],
  [-1, undefined],
  ['', undefined],
  ['Mi', undefined],
  ['1e3', undefined],
  [1e21, undefined],
  [Number.NaN, undefined],
  ['99999999Ti', undefined],
] as const) {
  test(`bytes: ${value} is ${bytes}`, () => assert.equal(parseBytes(value), bytes))
}

for (const [value, millis] of [
  [1, 1000],
  ['1', 1000],
  [0.5, 500],
  ['500m', 500],
  ['0.05', 50],
  ['1.5', 1500],
  ['1500m', 1500],
  [0, 0],
  ['one', undefined],
  ['-1', undefined],
  ['1 m', undefined],
] as const) {
  test(`CPU: ${value} is ${millis} thousandths`, () => assert.equal(parseCpuMillis(value), millis))
}

for (const [bytes, text] of [
  [0, '0 B'],
  [1023, '1023 B'],
  [512 * 2 ** 20, '512 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [5000 * 2 ** 40, '5000 TiB'],
] as const) {
  test(`${bytes} bytes are written ${text}`, () => assert.equal(formatBytes(bytes), text))
}
