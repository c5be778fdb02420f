import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Architecture } from '#core/node.ts'
import { buildLadder, type CatalogueCell, type LadderOptions } from '../../../../scheduler/cloud/ladder.ts'

const NOW_MS = Date.UTC(2026, 10, 25)
const GIB = 2 ** 30

function cell(serverType: string, location: string, change: Partial<CatalogueCell> = {}): CatalogueCell {
  return {
    serverType,
    location,
    arch: 'amd64',
    cores: 2,
    memoryBytes: 4 * GIB,
    hourMicrons: 8800,
    addressHourMicrons: 800,
    available: true,
    withdrawnAtMs: null,
    ...change,
  }
}

const options: LadderOptions = { types: ['cx23', 'cax11'], locations: ['nbg1', 'fsn1'], archs: new Set<Architecture>(['amd64', 'arm64']), paidAddress: true }
const noFault = () => null

test('each type is tried at each location before the next type, in the order that was given', () => {
  const catalogue = [cell('cax11', 'fsn1', { arch: 'arm64' }), cell('cx23', 'fsn1'), cell('cx23', 'nbg1'), cell('ccx13', 'fsn1'), cell('cx23', 'ash')]
  const names = buildLadder(catalogue, options, noFault, NOW_MS).map(({ serverType, location }) => `${serverType}@${location}`)
  assert.deepEqual(names, ['cx23@nbg1', 'cx23@fsn1', 'cax11@fsn1'])
})

test('Arm is on it only when there is an image for Arm', () => {
  const catalogue = [cell('cax11', 'fsn1', { arch: 'arm64' })]
  assert.equal(buildLadder(catalogue, options, noFault, NOW_MS)[0]?.arch, 'arm64')
  assert.deepEqual(buildLadder(catalogue, { ...options, archs: new Set<Architecture>(['amd64']) }, noFault, NOW_MS), [])
})

test('an hour costs the machine and its address, and the address only when there is one', () => {
  const hours = (paidAddress: boolean) => buildLadder([cell('cx23', 'nbg1')], { ...options, paidAddress }, noFault, NOW_MS)[0]
  assert.deepEqual([hours(true)?.hourMicrons, hours(false)?.hourMicrons], [9600, 8800])
  assert.deepEqual([hours(true)?.slots, hours(true)?.memoryBytes], [2, 3 * GIB])
})

test('why a cell is not to be ordered', () => {
  const fault = { code: 'resource_unavailable', message: 'nothing there', retryAtMs: NOW_MS + 1 }
  const table: [string, Partial<CatalogueCell>, boolean, string | undefined][] = [
    ['all is well', {}, false, undefined],
    ['out of stock', { available: false }, false, 'unavailable'],
    ['no price', { hourMicrons: null }, false, 'no_price'],
    ['a price of nothing', { hourMicrons: 0 }, false, 'no_price'],
    ['no price of an address', { addressHourMicrons: null }, false, 'no_price'],
    ['withdrawn', { withdrawnAtMs: NOW_MS }, false, 'withdrawn'],
    ['to be withdrawn', { withdrawnAtMs: NOW_MS + 1 }, false, undefined],
    ['failed lately', {}, true, 'resource_unavailable'],
    ['withdrawn, and failed lately', { withdrawnAtMs: NOW_MS, available: false }, true, 'withdrawn'],
  ]
  for (const [what, change, failed, code] of table) {
    const [offer] = buildLadder([cell('cx23', 'nbg1', change)], options, () => (failed ? fault : null), NOW_MS)
    assert.equal(offer?.error?.code, code, what)
    assert.equal(offer?.available, code === undefined, what)
  }
})
