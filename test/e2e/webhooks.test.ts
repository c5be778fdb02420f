import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { WebhookView } from '#core/webhook-api.ts'
import { awaitEnd, submitJob } from '../harness/follow.ts'
import { type Platform, rgrid, startPlatform } from '../harness/platform.ts'
import { type Receiver, startReceiver } from '../harness/receiver.ts'

let receiver: Receiver
let platform: Platform
before(async () => {
  receiver = await startReceiver()
  platform = await startPlatform({ RGRID_WEBHOOK_ALLOW: `127.0.0.1:${receiver.port}` })
})
after(async () => {
  // The database is shared with other files, and stays.
  const { items } = (await (await platform.api('GET', '/v1/projects/default/webhooks')).json()) as { items: WebhookView[] }
  for (const { id } of items) await platform.api('DELETE', `/v1/webhooks/${id}`)
  await platform?.stop()
  await receiver?.stop()
})

const bash = (code: string) => ({ runtime: 'bash', code, files: { outputs: [] }, resources: { disk: '16Mi' } })

/** `rgrid webhooks …`, which must succeed. */
async function webhooks(...args: string[]): Promise<string> {
  const result = await rgrid(platform, ['webhooks', ...args])
  assert.equal(result.code, 0, result.stderr)
  return result.stdout
}

/** Makes an endpoint for a path of the receiver; returns its id. */
async function create(path: string, ...options: string[]): Promise<{ id: string; secret: string }> {
  const [id = '', secret = ''] = (await webhooks('create', '--url', receiver.url(path), ...options)).trim().split(/\s+/)
  return { id, secret }
}

test('a webhook is made on the command line, tried, and hears of a job from its start to its end', async () => {
  const { id, secret } = await create('/life', '--event', 'job.started', '--event', 'job.failed', '--description', 'test')
  receiver.expect('/life', [secret], (response) => response.end('thanks'))
  assert.match(await webhooks('test', id), /^whd_\d+: 200 thanks after \d+ ms$/m)
  const jobId = await submitJob(platform, bash('exit 3'))
  await awaitEnd(platform, jobId)
  await receiver.until(() => receiver.at('/life').length === 3)
  assert.deepEqual(
    receiver.at('/life').map(({ type }) => type),
    ['webhook.ping', 'job.started', 'job.failed'],
  )
  const { data } = receiver.at('/life')[2] as (typeof receiver.received)[0]
  assert.deepEqual([data.jobId, data.exitCode, data.state, data.project], [jobId, 3, 'failed', 'default'])
  assert.match(await webhooks('list'), new RegExp(`${id}.*job.started job.failed.*enabled.*test`))
  const rows = (await webhooks('deliveries', id, '--job', jobId)).trimEnd().split('\n')
  assert.equal(rows.length, 3)
  const delivery = /whd_\d+/.exec(rows[1] as string)?.[0] as string
  assert.match(await webhooks('delivery', id, delivery), /200.*thanks/)
  await webhooks('redeliver', id, delivery)
  await receiver.until(() => receiver.at('/life').length === 4)
  assert.equal(receiver.at('/life')[3]?.id, receiver.at('/life')[2]?.id)
  assert.deepEqual(receiver.faults, [])
})

test('one that says no is tried again, one that fails can be sent again, and a ping of it ends with 1', async () => {
  const { id, secret } = await create('/stubborn', '--event', 'job.succeeded')
  receiver.expect('/stubborn', [secret], (response, nth) => response.writeHead(nth === 1 ? 500 : 200).end())
  await awaitEnd(platform, await submitJob(platform, bash('true')))
  // The first pause is five seconds.
  await receiver.until(() => receiver.at('/stubborn').length === 2)
  receiver.expect('/stubborn', [secret], (response) => response.writeHead(503).end('not now'))
  const failed = await rgrid(platform, ['webhooks', 'test', id])
  assert.deepEqual([failed.code, /503 not now/.test(failed.stdout)], [1, true])
  // Somebody looks on: a ping is tried once.
  assert.match(await webhooks('deliveries', id, '--type', 'webhook.ping'), /webhook\.ping +- +failed +1 /)
})

test('secrets are rotated, webhooks switched off and on, changed and deleted', async () => {
  const { id, secret } = await create('/rotated')
  const [, next = ''] = (await webhooks('rotate', id, '--overlap', '10m')).trim().split(/\s+/)
  receiver.expect('/rotated', [secret, next], (response) => response.end())
  await webhooks('test', id)
  await webhooks('disable', id)
  assert.match(await webhooks('show', id), /disabled \(user\)/)
  assert.equal((await rgrid(platform, ['webhooks', 'test', id])).code, 1)
  await webhooks('enable', id)
  await webhooks('update', id, '--event', 'batch.completed')
  const shown = JSON.parse(await webhooks('show', id, '--json')) as WebhookView
  assert.deepEqual(shown.events, ['batch.completed'])
  await webhooks('delete', id)
  assert.equal((await rgrid(platform, ['webhooks', 'show', id])).code, 3)
  assert.deepEqual(receiver.faults, [])
})

test('a job calls the address that it names itself', async () => {
  const [, secret = ''] = (await webhooks('secret')).trim().split(/\s+/)
  receiver.expect('/own', [secret], (response) => response.end())
  const jobId = await submitJob(platform, { ...bash('true'), webhook: { url: receiver.url('/own') } })
  await receiver.until(() => receiver.at('/own').length === 1)
  const [only] = receiver.at('/own')
  assert.deepEqual([only?.type, only?.data.jobId], ['job.succeeded', jobId])
})

test('what happens is forwarded to a receiver on this machine', async () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  receiver.expect('/local', [secret], (response) => response.writeHead(204).end())
  let jobId = ''
  const listened = await rgrid(platform, ['webhooks', 'listen', '--forward', receiver.url('/local'), '--event', 'job.succeeded'], {
    env: { RGRID_WEBHOOK_SECRET: secret },
    onChunk(text, kill) {
      if (text.includes('listening')) void submitJob(platform, bash('true')).then((id) => (jobId = id))
      if (text.includes('→ 204')) kill('SIGINT')
    },
  })
  assert.match(listened.stdout, new RegExp(`job.succeeded {2}${jobId} {2}→ 204`))
  assert.equal(listened.code, 0)
  assert.deepEqual(receiver.faults, [])
})

test('what makes no sense is refused with what would', async () => {
  for (const args of [['explode'], ['show'], ['create'], ['list', '--url', 'https://x.example'], ['redeliver', 'wh_x'], ['listen']]) {
    const result = await rgrid(platform, ['webhooks', ...args])
    assert.equal(result.code, 2, args.join(' '))
  }
  const refused = await rgrid(platform, ['webhooks', 'create', '--url', 'https://169.254.169.254/latest'])
  assert.deepEqual([refused.code, /url: 169.254.169.254 is no public address/.test(refused.stderr)], [2, true])
})
