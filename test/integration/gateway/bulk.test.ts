import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readdirSync, readlinkSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { RGridError } from '#core/errors.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { row } from '#store/row.ts'
import { createClient } from '../../../cli/client.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

const URL_PATH = '/v1/projects/default/batches'
const HEAD = { metadata: { name: 'many' }, parallel: 5, template: { runtime: 'bash', command: ['true'] } }
const CountRow = row(Type.Object({ count: Type.Number() }))

let gateway: TestGateway
let address: string
before(async () => {
  gateway = await startGateway()
  address = await gateway.listen()
})
after(() => gateway.stop())

const jobs = () => gateway.admin.oneFirst(sql.type(CountRow)`select count(*)::int as count from jobs`)
const ndjson = (values: readonly unknown[]) => values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join('\n')
const post = (payload: string, headers: Record<string, string> = {}) =>
  gateway.app.inject({
    method: 'POST',
    url: URL_PATH,
    payload,
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/x-ndjson', ...headers },
  })
const items = (count: number, change: (i: number) => unknown = (i) => ({ name: `item-${i}`, args: [String(i)] })) =>
  Array.from({ length: count }, (_, i) => change(i))
const wrongAt = async (lines: readonly unknown[]) => {
  const before = await jobs()
  const response = await post(ndjson(lines))
  assert.equal(response.statusCode, 422, response.body)
  assert.equal(await jobs(), before)
  return response.json<{ errors: { path: string; message: string }[]; detail: string }>()
}

test('a batch that comes line by line is the same as one that comes whole', async () => {
  const streamed = await post(ndjson([HEAD, ...items(2500)]))
  assert.equal(streamed.statusCode, 201, streamed.body)
  const whole = await gateway.call('POST', URL_PATH, { ...HEAD, items: items(2500) })
  const [a, b] = [streamed.json(), whole.json()]
  assert.deepEqual({ ...a, id: '', createdAt: '' }, { ...b, id: '', createdAt: '' })
  assert.equal(a.counts.queued, 5)
  const listed = (id: string) =>
    gateway.admin.any(
      sql.unsafe`select batch_index, name, labels, spec, state, reason, slot_hour_microns, reserved_microns from jobs where batch_id = ${id} order by batch_index`,
    )
  assert.deepEqual(await listed(a.id), await listed(b.id))
})

test('rgrid sends a batch that is too large for one document line by line, and names fields as the document does', async () => {
  const client = createClient({ apiUrl: address, apiKey: gateway.key, source: 'a test' })
  const params = { slug: 'default' }
  const body = { ...HEAD, items: Array.from({ length: 20_000 }, (_, i) => ({ name: `item-${i}`, args: ['x'.repeat(250)] })) }
  assert.ok(JSON.stringify(body).length > 5 * 2 ** 20)
  assert.equal((await client.call('POST /v1/projects/:slug/batches', { params, body })).size, 20_000)
  const wrong = { ...body, items: [...body.items, { name: '-' }] }
  await assert.rejects(client.call('POST /v1/projects/:slug/batches', { params, body: wrong }), (error: RGridError) => {
    assert.match(error.message, /^items\.20000\.name: /)
    return error.issues[0]?.path === 'items.20000.name'
  })
  const headless = { ...body, template: { ...HEAD.template, timeoutSeconds: 0 } }
  await assert.rejects(client.call('POST /v1/projects/:slug/batches', { params, body: headless }), /^RGridError: template\.timeoutSeconds: /)
})

test('empty lines and a last line without an end count for nothing', async () => {
  const response = await post(`${JSON.stringify(HEAD)}\r\n\r\n{}\n\n{}`)
  assert.equal(response.json().size, 2)
})

test('of 100,000 lines the one that is wrong is named by its number, and nothing is stored', async () => {
  const lines = items(100_000)
  lines[73_410] = { args: 'not a list' }
  const { errors } = await wrongAt([HEAD, ...lines])
  assert.deepEqual(
    errors.map((error) => error.path),
    ['lines.73412.args'],
  )
})

for (const [what, lines, path] of [
  ['no JSON', [HEAD, {}, '{"args":'], 'lines.3'],
  ['no object', [HEAD, '7'], 'lines.2'],
  ['an unknown field', [HEAD, { argz: [] }], 'lines.2.argz'],
  ['a path outside', [HEAD, { inputs: [{ path: '../x', url: 'https://x.test' }] }], 'lines.2.inputs.0.path'],
  ['a file that is not there', [HEAD, {}, { inputs: [{ path: 'x', file: 'file_01jd8k3v9q0000000000000000' }] }], 'lines.3.inputs.0.file'],
  ['a wrong head', [{ ...HEAD, parallel: 0 }, {}], 'lines.1.parallel'],
  ['a head with items', [{ ...HEAD, items: [] }, {}], 'lines.1.items'],
  ['no item', [HEAD], 'lines'],
  ['nothing at all', [], 'lines'],
  ['a line of 2 MiB', [HEAD, { args: ['x'.repeat(2 ** 21)] }], 'lines.2'],
  ['101,000 items', [HEAD, ...items(101_000, () => ({}))], 'lines.100002'],
] as const) {
  test(`${what} is refused with ${path}`, async () => {
    const { errors } = await wrongAt(lines)
    assert.deepEqual(
      errors.map((error) => error.path),
      [path],
    )
  })
}

test('many wrong lines are named together, up to fifty', async () => {
  const { errors } = await wrongAt([HEAD, ...items(200, () => ({ name: '-' }))])
  assert.equal(errors.length, 50)
  assert.equal(errors[49]?.path, 'lines.51.name')
})

test('the same stream with the same key is one batch; another stream is 422', async () => {
  const key = { 'idempotency-key': randomUUID() }
  const lines = ndjson([HEAD, ...items(3)])
  const first = (await post(lines, key)).json()
  const before = await jobs()
  assert.deepEqual((await post(lines, key)).json(), first)
  assert.equal((await post(ndjson([HEAD, ...items(4)]), key)).statusCode, 422)
  assert.equal(await jobs(), before)
})

test('a client that goes away in the middle leaves nothing behind, and others need not wait for it', async () => {
  const before = await jobs()
  const slow = httpRequest(`${address}${URL_PATH}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/x-ndjson' },
  })
  slow.on('error', () => undefined)
  slow.write(`${ndjson([HEAD, ...items(20_000)])}\n`)
  await untilSpools(1)
  // While it takes its time, no transaction is open: a job is stored, and its event may be relayed.
  const quick = await gateway.call('POST', '/v1/projects/default/jobs', { spec: HEAD.template })
  assert.equal(quick.statusCode, 201)
  const waiting = await gateway.admin.oneFirst(sql.type(CountRow)`
    select count(*)::int as count from outbox o where not (o.xid < pg_snapshot_xmin(pg_current_snapshot()))`)
  assert.equal(waiting, 0)
  await untilSpools(1)
  slow.destroy()
  await untilSpools(0)
  assert.equal(await jobs(), before + 1)
  assert.deepEqual(
    gateway.logged.filter((entry) => entry.includes('request failed')),
    [],
    'a client that leaves is no fault of ours',
  )
})

async function untilSpools(count: number): Promise<void> {
  await withDeadline(`${count} spools`, 10_000, async (signal) => {
    while (spools() !== count) await sleep(20, signal)
  })
}

/** Files of this process that lines wait in; they have no name any more. */
function spools(): number {
  return readdirSync('/proc/self/fd').filter((fd) => /rgrid-spool/.test(linkOf(fd))).length
}

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    // Closed meanwhile.
    return ''
  }
}
