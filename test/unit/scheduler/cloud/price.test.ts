import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMicrons } from '../../../../scheduler/cloud/price.ts'

test('prices become whole microns, and never less than was said', () => {
  const table: [string, number | undefined][] = [
    ['0.0080000000', 8000],
    ['0.0088', 8800],
    ['0.0000010000', 1],
    ['0.0000000001', 1],
    ['0.0080000001', 8001],
    ['1', 1_000_000],
    ['533.4900000000', 533_490_000],
    // As floats these are 0.00029000000000000001 and 1.0049999999999999.
    ['0.00029', 290],
    ['1.005', 1_005_000],
    ['0', 0],
    ['', undefined],
    ['-1', undefined],
    ['1e3', undefined],
    ['1,5', undefined],
    ['.5', undefined],
  ]
  for (const [text, microns] of table) assert.equal(parseMicrons(text), microns, text)
})
