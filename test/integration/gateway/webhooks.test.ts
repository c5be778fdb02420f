import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import type { DeliveryView, WebhookView, WebhookWithSecret } from '#core/webhook-api.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { createDbPool } from '#store/pool.ts'
import { webhookSecretContext } from '#store/webhooks.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { testSealer } from '../../harness/secret-keys.ts'
import { tell } from '../../harness/webhooks.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const URL_OF = 'https://example.com/hook'
const spec = { runtime: 'bash', command: ['true'] }

async function create(body: object = { url: URL_OF }): Promise<WebhookWithSecret> {
  const response = await gateway.call('POST', '/v1/projects/default/webhooks', body)
  assert.equal(response.statusCode, 201, response.body)
  return response.json()
}

async function deliveries(id: string, query = ''): Promise<DeliveryView[]> {
  return (await gateway.call('GET', `/v1/webhooks/${id}/deliveries${query}`)).json().items
}

/** Ends deliveries as the engine does. */
async function end(state: 'delivered' | 'failed', id: string): Promise<void> {
  await gateway.admin.query(sql.unsafe`
    update webhook_deliveries set state = ${state}, next_try_at = null, finished_at = now(), step = 3, tries = 3, last_status = 500 where endpoint_id = ${id}`)
}

test('a webhook is made, and its secret is shown once and never again', async () => {
  const made = await create({ url: URL_OF, events: ['job.failed'], description: 'for the team' })
  assert.match(made.secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  assert.deepEqual([made.kind, made.url, made.events, made.enabled, made.description], ['endpoint', URL_OF, ['job.failed'], true, 'for the team'])
  const { secret, ...rest } = made
  const read = await gateway.call('GET', `/v1/webhooks/${made.id}`)
  assert.deepEqual(read.json(), rest)
  const list = await gateway.call('GET', '/v1/projects/default/webhooks')
  assert.ok(list.json().items.some((one: WebhookView) => one.id === made.id))
  for (const body of [read.body, list.body, gateway.logged.join('')]) assert.ok(!body.includes(secret))
})

test('the gateway cannot read a secret that it has written', async () => {
  await assert.rejects(gateway.db.query(sql.unsafe`select secret from webhook_secrets`), /permission denied/)
})

test('without a list of events it hears all; each event of a job becomes a delivery that can be read', async () => {
  const { id } = await create()
  const jobId = (await gateway.call('POST', '/v1/projects/default/jobs', { spec, metadata: { name: 'report', labels: { team: 'media' } } })).json().id
  await gateway.call('POST', `/v1/jobs/${jobId}/cancel`)
  const [delivery, ...more] = await deliveries(id, `?job=${jobId}`)
  assert.equal(more.length, 0)
  assert.deepEqual([delivery?.type, delivery?.state, delivery?.url, delivery?.jobId, delivery?.tries], ['job.cancelled', 'pending', URL_OF, jobId, 0])
  assert.match(delivery?.messageId ?? '', /^evt_\d+$/)
  const detail = (await gateway.call('GET', `/v1/webhooks/${id}/deliveries/${delivery?.id}`)).json()
  assert.deepEqual(detail, { ...delivery, attempts: [] })
})

test('it is changed, switched off and on', async () => {
  const { id } = await create()
  await tell(gateway.admin, gateway.factory, 'job_x', ['job.started'])
  const changed = await gateway.call('PATCH', `/v1/webhooks/${id}`, { url: 'https://example.org/', events: ['batch.completed'], description: null })
  assert.deepEqual([changed.json().url, changed.json().events, changed.json().description], ['https://example.org/', ['batch.completed'], null])
  const off = (await gateway.call('PATCH', `/v1/webhooks/${id}`, { enabled: false })).json()
  assert.deepEqual([off.enabled, off.disabledReason], [false, 'user'])
  const [failed] = await deliveries(id)
  assert.deepEqual([failed?.state, failed?.lastError], ['failed', 'the endpoint was switched off by hand'])
  for (const path of ['test', `deliveries/${failed?.id}/redeliver`]) assert.equal((await gateway.call('POST', `/v1/webhooks/${id}/${path}`)).statusCode, 409)
  const on = (await gateway.call('PATCH', `/v1/webhooks/${id}`, { enabled: true })).json()
  assert.deepEqual([on.enabled, on.disabledReason, on.disabledAt, on.failingSince], [true, null, null, null])
})

test('after a rotation the old secret signs for as long as it was said, older ones no more', async () => {
  const first = await create()
  const second = (await gateway.call('POST', `/v1/webhooks/${first.id}/rotate`, { overlapSeconds: 600 })).json() as WebhookWithSecret
  assert.notEqual(second.secret, first.secret)
  assert.equal(second.secrets.length, 2)
  assert.ok(Math.abs(Date.parse(second.secrets[1]?.expiresAt ?? '') - Date.now() - 600_000) < 60_000)
  const third = (await gateway.call('POST', `/v1/webhooks/${first.id}/rotate`)).json() as WebhookWithSecret
  assert.equal(third.secrets.length, 2)
  const last = (await gateway.call('POST', `/v1/webhooks/${first.id}/rotate`, { overlapSeconds: 0 })).json() as WebhookWithSecret
  assert.equal(last.secrets.length, 1)
})

test('a ping is a delivery of its own', async () => {
  const { id } = await create()
  const ping = await gateway.call('POST', `/v1/webhooks/${id}/test`)
  assert.equal(ping.statusCode, 201)
  const { id: deliveryId, type, messageId } = ping.json()
  assert.deepEqual([type, messageId], ['webhook.ping', deliveryId.replace('whd_', 'ping_')])
})

test('what has ended is sent again, one of it or all of a time range', async () => {
  const { id } = await create({ url: URL_OF, events: ['job.started', 'job.failed'] })
  for (const job of ['job_a', 'job_b', 'job_c']) await tell(gateway.admin, gateway.factory, job, ['job.started'])
  const [newest] = await deliveries(id)
  const again = `/v1/webhooks/${id}/deliveries/${newest?.id}/redeliver`
  assert.equal((await gateway.call('POST', again)).statusCode, 409)
  await end('delivered', id)
  const one = (await gateway.call('POST', again)).json()
  assert.deepEqual([one.state, one.messageId, one.finishedAt], ['pending', newest?.messageId, null])
  await end('failed', id)
  const range = { since: '2020-01-01T00:00:00Z', until: '2099-01-01T00:00:00Z' }
  assert.deepEqual((await gateway.call('POST', `/v1/webhooks/${id}/redeliver`, range)).json(), { redelivered: 3 })
  await end('delivered', id)
  assert.deepEqual((await gateway.call('POST', `/v1/webhooks/${id}/redeliver`, range)).json(), { redelivered: 0 })
  assert.deepEqual((await gateway.call('POST', `/v1/webhooks/${id}/redeliver`, { ...range, state: 'all' })).json(), { redelivered: 3 })
  const wrong = await gateway.call('POST', `/v1/webhooks/${id}/redeliver`, { since: range.until, until: range.since })
  assert.equal(wrong.json().errors[0].path, 'until')
})

test('what was sent again once is not sent a third time by the same request', async () => {
  const { id } = await create({ url: URL_OF, events: ['job.started', 'job.failed'] })
  for (const job of ['job_d', 'job_e']) await tell(gateway.admin, gateway.factory, job, ['job.started'])
  const [newest] = await deliveries(id)
  const range = { since: '2020-01-01T00:00:00Z', until: '2099-01-01T00:00:00Z', state: 'all' }
  for (const [path, body] of [
    [`deliveries/${newest?.id}/redeliver`, undefined],
    ['redeliver', range],
  ] as const) {
    await end('delivered', id)
    const send = (headers: Record<string, string>) => gateway.call('POST', `/v1/webhooks/${id}/${path}`, body, headers)
    const key = { 'idempotency-key': randomUUID() }
    const first = await send(key)
    await end('delivered', id)
    const again = await send(key)
    assert.deepEqual([first.statusCode, again.statusCode, again.json()], [200, 200, first.json()], path)
    assert.equal(again.headers['idempotency-replayed'], 'true')
    assert.equal((await deliveries(id, '?state=pending')).length, 0, 'it was delivered, and is not due again')
    assert.equal((await send({ 'idempotency-key': randomUUID() })).statusCode, 200)
    assert.notEqual((await deliveries(id, '?state=pending')).length, 0)
  }
})

test('deliveries come in pages, and narrowed', async () => {
  const { id } = await create()
  for (let i = 0; i < 5; i++) await tell(gateway.admin, gateway.factory, `job_${i}`, ['job.started', 'job.failed'])
  const seen: string[] = []
  for (let cursor = ''; ; ) {
    const page = (await gateway.call('GET', `/v1/webhooks/${id}/deliveries?limit=3${cursor}`)).json()
    seen.push(...page.items.map((one: DeliveryView) => one.id))
    if (page.nextCursor === null) break
    cursor = `&cursor=${page.nextCursor}`
  }
  assert.deepEqual([seen.length, new Set(seen).size], [10, 10])
  assert.equal((await deliveries(id, '?type=job.failed')).length, 5)
  assert.equal((await deliveries(id, '?state=delivered')).length, 0)
  assert.equal((await deliveries(id, '?job=job_1')).length, 2)
  assert.equal((await deliveries(id, '?since=2099-01-01T00:00:00Z')).length, 0)
  for (const query of ['state=lost', 'type=job.exploded', 'since=now', 'limit=0', 'cursor=x'])
    assert.equal((await gateway.call('GET', `/v1/webhooks/${id}/deliveries?${query}`)).statusCode, 422, query)
})

test('a deleted one is gone, with its deliveries', async () => {
  const { id } = await create()
  assert.equal((await gateway.call('DELETE', `/v1/webhooks/${id}`)).statusCode, 204)
  for (const path of ['', '/deliveries']) assert.equal((await gateway.call('GET', `/v1/webhooks/${id}${path}`)).statusCode, 404)
  assert.equal((await gateway.call('DELETE', `/v1/webhooks/${id}`)).statusCode, 404)
})

test('jobs may name an address once the project has a secret to sign with, and nodes are not told of it', async () => {
  const job = { spec: { ...spec, webhook: { url: URL_OF } } }
  const batch = { template: job.spec, items: [{}] }
  const submit = (path: string, body: object) => gateway.call('POST', `/v1/projects/default/${path}`, body)
  for (const [path, body, field] of [
    ['jobs', job, 'spec.webhook'],
    ['batches', batch, 'template.webhook'],
  ] as const) {
    const refused = await submit(path, body)
    assert.deepEqual([refused.statusCode, refused.json().errors[0].path], [422, field])
    assert.match(refused.json().detail, /rgrid webhooks secret/)
  }
  const made = await create({ kind: 'jobs' })
  assert.deepEqual([made.kind, made.url, made.events], ['jobs', null, []])
  assert.equal((await submit('webhooks', { kind: 'jobs' })).statusCode, 409)
  const jobId = (await submit('jobs', job)).json().id
  assert.equal((await submit('batches', batch)).statusCode, 201)
  await gateway.call('POST', `/v1/jobs/${jobId}/cancel`)
  const [delivery] = await deliveries(made.id, `?job=${jobId}`)
  assert.deepEqual([delivery?.type, delivery?.url], ['job.cancelled', URL_OF])
  const bad = await submit('jobs', { spec: { ...spec, webhook: { url: 'https://169.254.169.254/' } } })
  assert.deepEqual([bad.statusCode, bad.json().errors[0].path], [422, 'spec.webhook.url'])
})

test('wrong documents are refused by their field, and nothing is stored', async () => {
  const before = (await gateway.call('GET', '/v1/projects/default/webhooks')).json().items.length
  for (const [body, path] of [
    [{}, 'url'],
    [{ url: 'http://example.com' }, 'url'],
    [{ url: 'https://10.0.0.1' }, 'url'],
    [{ url: URL_OF, events: ['job.exploded'] }, 'events.0'],
    [{ url: URL_OF, events: [] }, 'events'],
    [{ url: URL_OF, secret: 'mine' }, 'secret'],
    [{ kind: 'jobs', url: URL_OF }, 'url'],
  ] as const) {
    const response = await gateway.call('POST', '/v1/projects/default/webhooks', body)
    assert.deepEqual([response.statusCode, response.json().errors?.[0]?.path], [422, path], JSON.stringify(body))
  }
  assert.equal((await gateway.call('GET', '/v1/projects/default/webhooks')).json().items.length, before)
})

test('another project’s webhooks are not there', async () => {
  const { id } = await create()
  await tell(gateway.admin, gateway.factory, 'job_x', ['job.started'])
  const [delivery] = await deliveries(id)
  const key = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'test')
  const headers = { authorization: `Bearer ${key}` }
  for (const [method, path, body] of [
    ['GET', '', undefined],
    ['PATCH', '', { enabled: false }],
    ['DELETE', '', undefined],
    ['POST', '/rotate', {}],
    ['POST', '/test', undefined],
    ['GET', '/deliveries', undefined],
    ['GET', `/deliveries/${delivery?.id}`, undefined],
    ['POST', `/deliveries/${delivery?.id}/redeliver`, undefined],
    ['POST', '/redeliver', { since: '2020-01-01T00:00:00Z', until: '2099-01-01T00:00:00Z' }],
  ] as const)
    assert.equal((await gateway.call(method, `/v1/webhooks/${id}${path}`, body, headers)).statusCode, 404, `${method} ${path}`)
  const theirs = (await gateway.call('POST', '/v1/projects/other/webhooks', { url: URL_OF }, headers)).json()
  assert.equal((await gateway.call('GET', `/v1/webhooks/${theirs.id}/deliveries/${delivery?.id}`, undefined, headers)).statusCode, 404)
  assert.equal((await gateway.call('GET', '/v1/projects/default/webhooks', undefined, headers)).statusCode, 404)
})

test('a project has at most 50', async () => {
  const key = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'many', 'many'), 'test')
  const make = () => gateway.call('POST', '/v1/projects/many/webhooks', { url: URL_OF }, { authorization: `Bearer ${key}` })
  const codes = (await Promise.all(Array.from({ length: 52 }, make))).map((response) => response.statusCode)
  assert.deepEqual([codes.filter((code) => code === 201).length, codes.filter((code) => code === 409).length], [50, 2])
})

test('the scheduler signs with what the gateway has written', async () => {
  const { id, secret } = await create()
  const db = await createDbPool(gateway.schedulerUrl, 1)
  const stored = await db.oneFirst(sql.unsafe`select secret from webhook_secrets where endpoint_id = ${id}`)
  await db.end()
  assert.equal(testSealer.open(stored as string, webhookSecretContext(id)), secret)
})
