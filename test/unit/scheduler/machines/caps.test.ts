import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Counted } from '#store/machine-counts.ts'
import type { Server } from '../../../../scheduler/cloud/cloud.ts'
import { capFault, leftToSpend, takeStock } from '../../../../scheduler/machines/caps.ts'
import { anOffer } from '../../../harness/machines/provider.ts'

const row = (name: string, change: Partial<Counted> = {}): Counted => ({ name, planned: false, ended: false, serverId: name, hourMicrons: 10, ...change })
const server = (id: string, change: Partial<Server> = {}): Server => ({
  id,
  name: id,
  nodeId: null,
  serverType: 'small',
  location: 'here',
  status: 'running',
  createdAtMs: 0,
  ...change,
})
const offers = [anOffer({ hourMicrons: 7 }), anOffer({ location: 'there', hourMicrons: 90 })]

for (const { what, rows, servers, withPlanned = false, except, stock } of [
  { what: 'rows with and without a server', rows: [row('a'), row('b', { serverId: null })], servers: [server('a')], stock: [2, 20] },
  { what: 'a server that no row knows, by the price of its cell', rows: [row('a')], servers: [server('a'), server('x')], stock: [2, 17] },
  { what: 'one of a cell that is offered no more, by the dearest', rows: [], servers: [server('x', { location: 'nowhere' })], stock: [1, 90] },
  { what: 'a machine whose id is not known yet, once', rows: [row('a', { serverId: null })], servers: [server('1', { name: 'a' })], stock: [1, 10] },
  { what: 'what is planned, when it is asked for', rows: [row('a', { planned: true, serverId: null })], servers: [], withPlanned: true, stock: [1, 10] },
  { what: 'what is planned not, else', rows: [row('a', { planned: true, serverId: null })], servers: [], stock: [0, 0] },
  {
    what: 'what is planned but is there all the same',
    rows: [row('a', { planned: true, serverId: null })],
    servers: [server('1', { name: 'a' })],
    stock: [1, 10],
  },
  {
    what: 'what is still paid for one that ended, which is there no more',
    rows: [row('a'), row('b', { ended: true })],
    servers: [server('a')],
    stock: [1, 20],
  },
  { what: 'one that ended and is there all the same, once', rows: [row('b', { ended: true })], servers: [server('b')], stock: [1, 7] },
  { what: 'all but the one that is asked for', rows: [row('a'), row('b')], servers: [], except: 'a', stock: [1, 10] },
] as const) {
  test(`counts ${what}`, () => {
    const { machines, hourMicrons } = takeStock(rows, servers, offers, withPlanned, except)
    assert.deepEqual([machines, hourMicrons], stock)
  })
}

for (const [machines, hourMicrons, maxHourMicrons, code] of [
  [4, 0, null, undefined],
  [5, 0, null, 'max_nodes'],
  [9, 0, null, 'max_nodes'],
  [0, 90, 100, undefined],
  [0, 91, 100, 'max_spend'],
] as const) {
  test(`one more than ${machines} machines at ${hourMicrons} an hour is ${code ?? 'fine'}`, () => {
    assert.equal(capFault({ machines, hourMicrons }, { hourMicrons: 10 }, { maxNodes: 5, maxHourMicrons })?.code, code)
  })
}

test('what is paid for machines that ended is taken off what may be spent', () => {
  const rows = [row('a'), row('b', { ended: true }), row('c', { ended: true })]
  assert.deepEqual([leftToSpend(50, rows), leftToSpend(15, rows), leftToSpend(null, rows)], [30, 0, null])
})
