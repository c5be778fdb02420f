import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { worstCase } from '#core/money.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { openEvents } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { makeProject, makeTenant } from '../../harness/tenants.ts'
import { anEndpoint, aSecret } from '../../harness/webhooks.ts'

const SPEC = { runtime: 'bash', command: ['true'], timeoutSeconds: 100, prepareTimeoutSeconds: 100, gracePeriodSeconds: 0 }
const PRICE = 3_600_000
const WORST = worstCase({ slots: 1, timeoutSeconds: 100, prepareTimeoutSeconds: 100, gracePeriodSeconds: 0, retries: 0 }, PRICE).jobMicrons
const MONTH = new Date().toISOString().slice(0, 7)
const EventRow = row(Type.Object({ project_id: Type.String(), data: Type.Record(Type.String(), Type.Unknown()) }))

let gateway: TestGateway
let scheduler: DatabasePool
before(async () => {
  gateway = await startGateway({ slotHourMicrons: PRICE })
  scheduler = await createDbPool(gateway.schedulerUrl, 2)
})
after(async () => {
  await scheduler.end()
  await gateway.stop()
})

async function tenant(account: object = {}, project: object = {}) {
  const made = await makeTenant(gateway.admin)
  const key = await createApiKey(gateway.admin, made.projectId, 'key')
  const slug = made.projectId.slice(5).replaceAll('_', '-')
  const call = (method: 'POST' | 'PATCH', path: string, payload: object, headers: Record<string, string> = {}, app = gateway.app) =>
    app.inject({ method, url: `/v1/projects/${slug}${path}`, headers: { authorization: `Bearer ${key}`, ...headers }, payload })
  if (Object.keys(account).length > 0) assert.equal((await gateway.call('PATCH', `/v1/accounts/${made.accountId}/limits`, account)).statusCode, 200)
  if (Object.keys(project).length > 0) assert.equal((await call('PATCH', '/limits', project)).statusCode, 200)
  const submit = (headers: Record<string, string> = {}, app = gateway.app) => call('POST', '/jobs', { spec: SPEC }, headers, app)
  const batch = (items: number) => call('POST', '/batches', { template: SPEC, items: Array.from({ length: items }, () => ({})) })
  const told = async () => {
    const events = await gateway.admin.any(sql.type(EventRow)`
      select project_id, data from events where account_id = ${made.accountId} and type = 'spending.threshold' order by id`)
    return events.map(({ project_id, data }) => [project_id, data.whose, data.percent])
  }
  return { ...made, key, slug, call, submit, batch, told }
}

test('a thousand submits at once, through two gateways: each part of the month is told once', async () => {
  const { submit, told, projectId } = await tenant({ monthMicrons: 40 * WORST })
  const other = await gateway.another()
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => submit({}, i % 2 === 0 ? gateway.app : other)))
  await other.close()
  assert.equal(answers.filter((answer) => answer.statusCode === 201).length, 40)
  assert.deepEqual(await told(), [
    [projectId, 'account', 50],
    [projectId, 'account', 80],
    [projectId, 'account', 100],
  ])
})

test('each part as it is reached, with how much is used; an account’s in all of its projects', async () => {
  const { submit, told, projectId, accountId } = await tenant({ monthMicrons: 20 * WORST }, { monthMicrons: 10 * WORST })
  const sibling = await makeProject(gateway.admin, accountId)
  for (let n = 0; n < 4; n++) await submit()
  assert.deepEqual(await told(), [])
  await submit()
  assert.deepEqual(await told(), [[projectId, 'project', 50]])
  for (let n = 0; n < 5; n++) await submit()
  assert.equal((await submit()).statusCode, 429)
  const both = [projectId, sibling].sort()
  assert.deepEqual(await told(), [
    [projectId, 'project', 50],
    [projectId, 'project', 80],
    ...both.map((id) => [id, 'account', 50]),
    [projectId, 'project', 100],
  ])
  const { data } =
    (
      await gateway.admin.any(
        sql.type(EventRow)`select project_id, data from events where account_id = ${accountId} and type = 'spending.threshold' order by id`,
      )
    )[1] ?? {}
  assert.deepEqual(data, { whose: 'project', percent: 80, month: MONTH, limitMicrons: 10 * WORST, usedMicrons: 8 * WORST })
})

test('a month that is nearly full is told of when it refuses, however the submit came', async () => {
  for (const refuse of ['batch', 'job with a key'] as const) {
    const { submit, batch, told, projectId } = await tenant({ monthMicrons: 10 * WORST - 1 })
    assert.equal((await batch(9)).statusCode, 201)
    const parts = [50, 80].map((percent) => [projectId, 'account', percent])
    assert.deepEqual(await told(), parts)
    const refused = refuse === 'batch' ? await batch(3) : await submit({ 'idempotency-key': 'one' })
    assert.equal(refused.statusCode, 429)
    assert.deepEqual(await told(), [...parts, [projectId, 'account', 100]], refuse)
    await submit()
    assert.equal((await told()).length, 3, 'once')
  }
})

test('one submit that is larger than the month does not make it full', async () => {
  const { submit, batch, told } = await tenant({ monthMicrons: 10 * WORST })
  await submit()
  assert.equal((await batch(100)).statusCode, 429)
  assert.deepEqual(await told(), [])
})

test('it is heard in the stream of events, and goes to the webhooks that want it', async () => {
  const { key, slug, submit, projectId, accountId } = await tenant({}, { monthMicrons: WORST * 2 })
  const wants = await anEndpoint(
    gateway.admin,
    { accountId, projectId },
    { url: 'https://example.com/h', secrets: [aSecret()], events: ['spending.threshold'] },
  )
  await anEndpoint(gateway.admin, { accountId, projectId }, { url: 'https://example.com/h', secrets: [aSecret()], events: ['job.failed'] })
  const stream = await openEvents(`${await gateway.listen()}/v1/events?type=spending.threshold`, { authorization: `Bearer ${key}` })
  assert.equal((await stream.next())?.event, 'ready')
  const relay = createRelay(scheduler, gateway.bus, pino({ level: 'silent' }), () => true)
  await relay.start()
  await submit()
  const event = (await stream.next())?.data
  stream.close()
  await relay.stop()
  assert.deepEqual([event.type, event.subject], ['rgrid.spending.threshold', projectId])
  const data = { whose: 'project', percent: 50, month: MONTH, limitMicrons: 2 * WORST, usedMicrons: WORST, jobId: null, batchId: null }
  assert.deepEqual(event.data, data)
  const Delivery = row(Type.Object({ endpoint_id: Type.String(), type: Type.String(), data: Type.Unknown() }))
  const deliveries = await gateway.admin.any(sql.type(Delivery)`select endpoint_id, type, data from webhook_deliveries where project_id = ${projectId}`)
  assert.deepEqual([...deliveries], [{ endpoint_id: wants, type: 'spending.threshold', data: { ...data, project: slug } }])
})
