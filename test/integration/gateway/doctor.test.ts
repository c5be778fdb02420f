import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { Diagnosis } from '#core/operator-api.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { createObjects, type Objects } from '#store/objects.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { testServices } from '../../harness/services.ts'
import { anEndpoint, tell } from '../../harness/webhooks.ts'

let gateway: TestGateway
let objects: Objects

before(async () => {
  const { s3 } = testServices()
  // A bucket of its own: the objects of other tests have no rows here.
  objects = createObjects({ ...s3, presignUrl: s3.url, bucket: `doctor-${randomBytes(4).toString('hex')}` })
  await objects.ensureBucket()
  gateway = await startGateway({ objects })
})
beforeEach(async () => {
  await gateway.admin.query(sql.unsafe`truncate jobs, nodes, node_hours, batches, files, outbox, pending_objects, events, webhook_endpoints cascade`)
  for await (const { key } of objects.list(AbortSignal.timeout(10_000))) await objects.delete(key)
})
after(async () => {
  await gateway?.stop()
  objects?.close()
})

async function examine(): Promise<Diagnosis> {
  const answer = await gateway.call('GET', '/v1/doctor')
  assert.equal(answer.statusCode, 200, answer.body)
  return answer.json<Diagnosis>()
}

async function put(key: string, body: string): Promise<void> {
  const { url, headers } = await objects.presignPut(key, body.length, 60)
  assert.equal((await fetch(url, { method: 'PUT', headers, body })).status, 200)
}

const change = (statement: ReturnType<typeof sql.unsafe>) => gateway.admin.query(statement)
const running = async () => gateway.attempts.assign(await gateway.factory.job())

test('a healthy installation is told to be well, and everything was looked at', async () => {
  const job = await running()
  await put('artifacts/x', 'hello')
  await change(sql.unsafe`insert into pending_objects values ('artifacts/x', ${job.attemptId}, now(), now())`)
  await change(sql.unsafe`update nodes set last_seen_at = now(), containers = array[${job.attemptId}], containers_at = now()`)
  await gateway.factory.batch({ size: 1, parallel: 1 })
  const diagnosis = await examine()
  assert.deepEqual(
    diagnosis.checks.filter((check) => !check.ok),
    [],
  )
  assert.equal(diagnosis.ok, true)
  const nothing = diagnosis.checks.filter((check) => check.checked === 0).map((check) => check.name)
  assert.deepEqual(
    nothing,
    ['times are kept', 'cancels are obeyed', 'webhooks are sent', 'paid hours add up'],
    'no job waits for a time, none was cancelled, nobody listens, no machine was paid',
  )
})

// That a final job has no attempt that may still be written, and the like, are CHECKs of the tables: they cannot be broken here.
for (const [what, name, breakIt, problem] of [
  [
    'a lease whose job does not run',
    'slots taken are live leases',
    async () => {
      const job = await running()
      await change(sql.unsafe`update jobs set state = 'queued' where id = ${job.jobId}`)
      return job.attemptId
    },
    /holds 1 slots for job job_\w+, which is queued/,
  ],
  [
    'more slots taken than there are',
    'slots taken are live leases',
    async () => {
      const job = await running()
      await change(sql.unsafe`update attempts set slots = 7`)
      return job.nodeId
    },
    /has 7 slots taken and only 2/,
  ],
  [
    'a job that nobody works at',
    'no job runs without a lease',
    async () => {
      const job = await running()
      await change(sql.unsafe`update attempts set state = 'lost', cause = 'lost', finished_at = now()`)
      return job.jobId
    },
    /is running, and its attempt att_\w+ is not/,
  ],
  [
    'a final job with a lease',
    'no final job has a lease',
    async () => {
      const job = await running()
      await change(sql.unsafe`update jobs set state = 'succeeded', cause = 'exit', finished_at = now()`)
      return job.attemptId
    },
    /has ended \(succeeded\)/,
  ],
  [
    'a backoff that nobody ended',
    'times are kept',
    async () => {
      const id = await gateway.factory.job()
      await change(sql.unsafe`update jobs set state = 'held', hold = 'backoff', hold_until = now() - interval '5 minutes'`)
      return id
    },
    /was to go on at/,
  ],
  [
    'a queue limit that nobody kept',
    'times are kept',
    async () => {
      const id = await gateway.factory.job()
      await change(sql.unsafe`update jobs set queue_until = now() - interval '5 minutes'`)
      return id
    },
    /was to fail in the queue at/,
  ],
  [
    'a cancel that is not obeyed',
    'cancels are obeyed',
    async () => {
      const job = await running()
      await change(sql.unsafe`update jobs set cancel_requested_at = now() - interval '1 hour'`)
      return job.jobId
    },
    /still runs on node_/,
  ],
  [
    'a batch that waits for room that it has',
    'no batch waits that has room',
    async () => {
      const batchId = await gateway.factory.batch({ size: 1, parallel: 1 })
      await gateway.factory.job({ batchId, batchIndex: 0, held: 'batch' })
      return batchId
    },
    /and 0 of 1 under way/,
  ],
  [
    'a container of an attempt that nobody knows',
    'no container is left of an attempt that has ended',
    async () => {
      await gateway.factory.node()
      await change(sql.unsafe`update nodes set last_seen_at = now(), containers = array['att_gone'], containers_at = now()`)
      return 'att_gone'
    },
    /which is unknown/,
  ],
  [
    'a node that is not heard and not lost',
    'nodes are heard',
    async () => {
      const id = await gateway.factory.node()
      await change(sql.unsafe`update nodes set last_seen_at = now() - interval '1 hour'`)
      return id
    },
    /is ready, and was heard last at/,
  ],
  [
    'an event that nobody relays',
    'events are relayed',
    async () => {
      const job = await running()
      await change(sql.unsafe`update events set created_at = now() - interval '1 minute'`)
      return job ? 'job.assigned' : ''
    },
    /has waited since/,
  ],
  [
    'an artifact whose object has gone',
    'object storage matches its rows',
    async () => {
      const job = await running()
      const id = newId('artifact')
      await change(
        sql.unsafe`insert into artifacts (id, account_id, job_id, attempt_id, path, size_bytes, sha256, key) values (${id}, ${gateway.factory.accountId}, ${job.jobId}, ${job.attemptId}, 'a', 1, 'x', 'artifacts/gone')`,
      )
      return id
    },
    /has no object artifacts\/gone/,
  ],
  [
    'an artifact of another size',
    'object storage matches its rows',
    async () => {
      const job = await running()
      const id = newId('artifact')
      await put('artifacts/short', 'hi')
      await change(
        sql.unsafe`insert into artifacts (id, account_id, job_id, attempt_id, path, size_bytes, sha256, key) values (${id}, ${gateway.factory.accountId}, ${job.jobId}, ${job.attemptId}, 'a', 5, 'x', 'artifacts/short')`,
      )
      return id
    },
    /is 2 bytes long in the object store, its row says 5/,
  ],
  [
    'an archived log that is not there',
    'object storage matches its rows',
    async () => {
      const job = await running()
      await gateway.attempts.finish(job, { logArchived: true })
      return job.attemptId
    },
    /log of attempt att_\w+ has no object/,
  ],
  [
    'an object that nobody knows',
    'object storage matches its rows',
    async () => {
      await put('artifacts/stray', 'x')
      return 'artifacts/stray'
    },
    /has no row/,
  ],
  [
    'webhooks that nobody sends',
    'webhooks are sent',
    async () => {
      await anEndpoint(gateway.admin, gateway.factory, { url: 'https://example.com', secrets: [] })
      await tell(gateway.admin, gateway.factory, 'job_x', ['job.started'])
      await change(sql.unsafe`update webhook_deliveries set next_try_at = now() - interval '10 minutes'`)
      await change(sql.unsafe`truncate outbox`)
      return 'whd_'
    },
    /delivery whd_\d+ \(job.started\) is due since .*, and none was sent for 300 s/,
  ],
  [
    'a paid hour whose shares are not what was paid',
    'paid hours add up',
    async () => {
      await change(sql.unsafe`
        insert into node_hours (node_id, hour, from_at, until_at, day, hour_microns, paid_microns, idle_microns)
        values ('node_x', 3, now() - interval '1 hour', now(), now(), 9600, 9600, 9599)`)
      return 'node_x'
    },
    /hour 3 of node_x cost 9600 microns, and shares and idle are 9599/,
  ],
  [
    'a paid hour that nobody closes',
    'paid hours add up',
    async () => {
      const id = await gateway.factory.node()
      await change(sql.unsafe`update nodes set enrolled_at = now() - interval '130 minutes' where id = ${id}`)
      return id
    },
    /hour 0 of node_\w+ was over at .*, and is not closed/,
  ],
] as const) {
  test(`it finds ${what}, and says what to do`, async () => {
    const id = await breakIt()
    const diagnosis = await examine()
    const check = diagnosis.checks.find((one) => one.name === name)
    assert.equal(diagnosis.ok, false)
    assert.ok(check && !check.ok && check.hint.length > 20)
    const found = check.problems.find((text) => text.includes(id))
    assert.match(found ?? check.problems.join('; '), problem)
  })
}

test('only operators may look', async () => {
  const key = await createApiKey(gateway.admin, gateway.factory.projectId, 'tenant')
  await change(sql.unsafe`update api_keys set scopes = array['jobs:read'] where name = 'tenant'`)
  const answer = await gateway.call('GET', '/v1/doctor', undefined, { authorization: `Bearer ${key}` })
  assert.equal(answer.statusCode, 403)
})
