import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

let gateway: TestGateway

before(async () => {
  gateway = await startGateway()
})
after(() => gateway?.stop())

const change = (statement: ReturnType<typeof sql.unsafe>) => gateway.admin.query(statement)
const running = async () => gateway.attempts.assign(await gateway.factory.job())

test('what is past its retention is gone, and says so', async () => {
  const changed = await gateway.app.inject({
    method: 'PATCH',
    url: '/v1/projects/default',
    headers: { authorization: `Bearer ${gateway.key}` },
    payload: { retention: { logsDays: 3 } },
  })
  assert.deepEqual(changed.json<{ retention: unknown }>().retention, { jobsDays: 90, logsDays: 3, artifactsDays: 30 })
  const job = await running()
  const artifacts = [{ path: 'a.txt', sizeBytes: 1, sha256: 'a'.repeat(64), executable: false }]
  await gateway.attempts.finish(job, { artifacts, logSeq: 1, logArchived: true })
  await change(sql.unsafe`update attempts set log_expired_at = now()`)
  await change(sql.unsafe`update artifacts set expired_at = now()`)
  const log = await gateway.call('GET', `/v1/jobs/${job.jobId}/logs`)
  assert.match(log.body, /no longer kept: it is past the retention of logs/)
  const { items } = (await gateway.call('GET', `/v1/jobs/${job.jobId}/artifacts`)).json<{ items: { id: string; expired: boolean }[] }>()
  assert.equal(items[0]?.expired, true)
  const download = await gateway.call('GET', `/v1/artifacts/${items[0]?.id}/download`)
  assert.deepEqual([download.statusCode, download.json<{ code: string }>().code], [410, 'gone'])
})

test('a wrong retention is refused with its field', async () => {
  for (const retention of [{ logsDays: 0 }, { logsDays: 4000 }, { weeks: 1 }]) {
    const answer = await gateway.app.inject({
      method: 'PATCH',
      url: '/v1/projects/default',
      headers: { authorization: `Bearer ${gateway.key}` },
      payload: { retention },
    })
    assert.equal(answer.statusCode, 422)
    assert.match(answer.json<{ detail: string }>().detail, /retention/)
  }
})
