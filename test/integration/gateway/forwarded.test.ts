import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { KeyView } from '#core/key-api.ts'
import { row } from '#store/row.ts'
import { startGateway, TEST_HTTP, type TestGateway } from '../../harness/gateway.ts'

/** The proxy: what calls from this address of the loopback interface. */
const PROXY = '127.0.0.1'
const SOMEBODY = '127.0.0.2'
const FORGED = '198.51.100.9'
const CLIENT = '203.0.113.7'
const IpRow = row(Type.Object({ ip: Type.String() }))

const gateways: TestGateway[] = []
let believing: string
let plain: string
before(async () => {
  for (const trustedProxies of [[`${PROXY}/32`, '10.1.0.0/16'], []]) gateways.push(await startGateway({ http: { ...TEST_HTTP, trustedProxies } }))
  const addresses = await Promise.all(gateways.map((gateway) => gateway.listen()))
  believing = addresses[0] as string
  plain = addresses[1] as string
})
after(() => Promise.all(gateways.map((gateway) => gateway.stop())))

/** What the audit log says of where a key was made from. */
async function madeFrom(url: string, localAddress: string, forwarded?: string | string[]): Promise<string> {
  const gateway = gateways[url === believing ? 0 : 1] as TestGateway
  const headers = {
    authorization: `Bearer ${gateway.key}`,
    'content-type': 'application/json',
    ...(forwarded === undefined ? {} : { 'x-forwarded-for': forwarded }),
  }
  const sent = request(`${url}/v1/projects/default/keys`, { method: 'POST', localAddress, agent: false, headers })
  sent.end(JSON.stringify({ name: 'x', scopes: ['jobs:read'] }))
  const [answer] = (await once(sent, 'response')) as [IncomingMessage]
  const made = (await json(answer)) as KeyView
  assert.equal(answer.statusCode, 201, JSON.stringify(made))
  return gateway.admin.oneFirst(sql.type(IpRow)`select ip from audit_log where object_id = ${made.id}`)
}

test('without a trusted proxy it is the address of the connection, whatever a header says', async () => {
  assert.equal(await madeFrom(plain, PROXY), PROXY)
  assert.equal(await madeFrom(plain, SOMEBODY, FORGED), SOMEBODY)
})

test('behind a trusted proxy it is the address that the proxy saw, and not what the client said of itself', async () => {
  assert.equal(await madeFrom(believing, PROXY, CLIENT), CLIENT)
  assert.equal(await madeFrom(believing, PROXY, `${FORGED}, ${CLIENT}`), CLIENT)
  assert.equal(await madeFrom(believing, PROXY, [FORGED, CLIENT]), CLIENT)
  assert.equal(await madeFrom(believing, PROXY, '2001:db8::7'), '2001:db8::7')
  assert.equal(await madeFrom(believing, PROXY, `${FORGED}, ${CLIENT}, 10.1.2.3`), CLIENT, 'through two that are trusted')
  assert.equal(await madeFrom(believing, PROXY), PROXY, 'a request of the proxy itself')
})

test('who is no trusted proxy is not believed', async () => {
  assert.equal(await madeFrom(believing, SOMEBODY, FORGED), SOMEBODY)
})

test('what a proxy says that is no address is not written down', async () => {
  for (const garbage of ['unknown', `${CLIENT}:4711`, '<script>', `${CLIENT}, _hidden`]) assert.equal(await madeFrom(believing, PROXY, garbage), PROXY, garbage)
})
