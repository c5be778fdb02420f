import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createApiKey } from '#store/bootstrap.ts'
import { startGateway, TEST_BULK, type TestGateway } from '../../harness/gateway.ts'
import { type RawConnection, rawConnection } from '../../harness/raw-http.ts'
import { makeTenant } from '../../harness/tenants.ts'

const GOOD = '{"template":{"runtime":"bash","command":["true"]}}\n{}\n'
const NDJSON = 'application/x-ndjson'

interface Customer {
  slug: string
  key: string
}

let gateway: TestGateway
let url: string
let own: Customer
const open: RawConnection[] = []
before(async () => {
  gateway = await startGateway()
  url = await gateway.listen()
  own = { slug: 'default', key: gateway.key }
})
after(async () => {
  for (const connection of open) connection.close()
  await gateway.stop()
})

async function customer(): Promise<Customer> {
  const { projectId } = await makeTenant(gateway.admin)
  return { slug: projectId.slice(5).replaceAll('_', '-'), key: await createApiKey(gateway.admin, projectId, 'test') }
}

/** Begins a batch of so many bytes and sends the first of them. */
async function begin({ slug, key }: Customer, first: string, length: number, type = NDJSON, at = url): Promise<RawConnection> {
  const connection = await rawConnection(at)
  open.push(connection)
  connection.socket.on('error', () => undefined)
  const head = `POST /v1/projects/${slug}/batches HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`
  connection.write(head + first)
  return connection
}

const send = (customer: Customer, body: string, type = NDJSON) => begin(customer, body, Buffer.byteLength(body), type).then((connection) => connection.answer())
const lines = (count: number) => `${GOOD}${'{"args":["0123456789"]}\n'.repeat(count)}`

test('who connects and sends one byte takes nothing from others, nor from themselves', async () => {
  for (let account = 0; account < 5; account++) {
    const slow = await customer()
    for (let i = 0; i < 8; i++) await begin(slow, '{', 1000, i % 2 ? NDJSON : 'application/json')
    // Answered behind the others on this machine, so those have been taken up.
    assert.equal((await send(slow, GOOD)).status, 201)
  }
  const answer = await send(own, GOOD)
  assert.equal(answer.status, 201, answer.body)
})

test('four large batches of an account may come in at once: the next is told to wait, small ones and other accounts are not', async () => {
  const busy = await customer()
  const first = lines(5000)
  const held = []
  for (let i = 0; i < 4; i++) held.push(await begin(busy, first, first.length + 3))
  let refused = await send(busy, first)
  // The four may be still on their way in.
  for (let tries = 0; refused.status === 201 && tries < 20; tries++) refused = await send(busy, first)
  assert.equal(refused.status, 429, refused.body)
  assert.match(refused.headers['retry-after'] ?? '', /^\d+$/)
  assert.equal((await send(busy, GOOD)).status, 201)
  assert.equal((await send(own, first)).status, 201)
  for (const connection of held) connection.write('{}\n')
  for (const connection of held) assert.equal((await connection.answer()).status, 201)
  assert.equal((await send(busy, first)).status, 201)
})

test('a batch of which nothing more comes is given up with 408, and its connection closed', async () => {
  const impatient = await startGateway({ bulk: { ...TEST_BULK, idleMs: 200 } })
  try {
    const address = await impatient.listen()
    for (const type of [NDJSON, 'application/json']) {
      const connection = await begin({ slug: 'default', key: impatient.key }, GOOD, 10_000, type, address)
      const answer = await connection.answer()
      assert.equal(answer.status, 408, answer.body)
      assert.equal(JSON.parse(answer.body).code, 'timeout')
      assert.equal(answer.headers.connection, 'close')
      await connection.ended()
    }
  } finally {
    await impatient.stop()
  }
})

test('a batch as one document has at most 4 MiB, and the refusal says how to send it instead', async () => {
  const { status, body } = await begin(own, '{', 5 * 2 ** 20, 'application/json').then((connection) => connection.answer())
  assert.equal(status, 413)
  assert.match(JSON.parse(body).detail, /4 MiB.*application\/x-ndjson/)
  const items = Array.from({ length: 60_000 }, (_, i) => ({ name: `item-${i}`, args: [`input-${i}.json`, 'x'.repeat(40)] }))
  const head = { template: { runtime: 'bash', command: ['echo'] } }
  const chunks = (async function* () {
    yield JSON.stringify({ ...head, items })
  })()
  const init = { method: 'POST', headers: { authorization: `Bearer ${own.key}`, 'content-type': 'application/json' }, body: chunks, duplex: 'half' }
  assert.equal((await fetch(`${url}/v1/projects/default/batches`, init as unknown as RequestInit)).status, 413)
})

test('who sends on after the refusal hears it all the same, on a connection that goes on', async () => {
  const rest = '{}\n'.repeat(2_000_000)
  const wrong = '{"template":{}}\n'
  const connection = await begin(own, wrong, wrong.length + rest.length)
  const answer = await connection.answer()
  assert.equal(answer.status, 422, answer.body)
  connection.write(rest)
  connection.write(`GET /v1/me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${own.key}\r\n\r\n`)
  assert.equal((await connection.answer()).status, 200)
})
