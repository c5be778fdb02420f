import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { ArtifactList, Download, FileView } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { artifactKey } from '#store/objects.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const FILES = '/v1/projects/default/files'
const hashOf = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function announce(bytes: Buffer, status: number, headers: Record<string, string> = {}, sizeBytes = bytes.length): Promise<FileView> {
  const response = await gateway.call('POST', headers.project ? `/v1/projects/${headers.project}/files` : FILES, { sha256: hashOf(bytes), sizeBytes }, headers)
  assert.equal(response.statusCode, status, response.body)
  return response.json()
}

async function put(view: FileView, bytes: Buffer): Promise<number> {
  assert.ok(view.upload)
  return (await fetch(view.upload.url, { method: 'PUT', headers: view.upload.headers, body: bytes })).status
}

test('a file is announced, uploaded, announced again, and never uploaded twice', async () => {
  const bytes = randomBytes(1000)
  const pending = await announce(bytes, 201)
  assert.ok(Value.Check(FileView, pending))
  assert.equal(pending.state, 'pending')
  assert.ok(Date.parse(pending.upload?.expiresAt ?? '') > Date.now())
  assert.equal(await put(pending, bytes), 200)
  const ready = await announce(bytes, 200)
  assert.deepEqual([ready.id, ready.state, ready.upload], [pending.id, 'ready', null])
  assert.deepEqual(await announce(bytes, 200), ready)

  const job = { spec: { runtime: 'bash', command: ['true'], files: { inputs: [{ path: 'x', file: ready.id }] } } }
  assert.equal((await gateway.call('POST', '/v1/projects/default/jobs', job)).statusCode, 201)
})

test('an empty file is a file', async () => {
  const view = await announce(Buffer.alloc(0), 201)
  assert.equal(await put(view, Buffer.alloc(0)), 200)
  assert.equal((await announce(Buffer.alloc(0), 200)).state, 'ready')
})

test('two that announce the same file at once get the same one', async () => {
  const bytes = randomBytes(10)
  const views = await Promise.all(Array.from({ length: 8 }, () => announce(bytes, 201)))
  assert.equal(new Set(views.map((view) => view.id)).size, 1)
})

test('bytes of another length are refused by the object store', async () => {
  const bytes = randomBytes(100)
  const view = await announce(bytes, 201)
  assert.ok(view.upload)
  const response = await fetch(view.upload.url, { method: 'PUT', body: randomBytes(5000) })
  assert.equal(response.status, 403)
  assert.equal((await announce(bytes, 201)).state, 'pending')
})

test('a file that is ready has one size', async () => {
  const bytes = randomBytes(50)
  await put(await announce(bytes, 201), bytes)
  await announce(bytes, 200)
  const response = await gateway.call('POST', FILES, { sha256: hashOf(bytes), sizeBytes: 51 })
  assert.equal(response.statusCode, 422)
  assert.equal(response.json().errors[0].path, 'sizeBytes')
})

test('a file of another project is not there: knowing its hash gives nobody its bytes', async () => {
  const bytes = randomBytes(64)
  await put(await announce(bytes, 201), bytes)
  const own = await announce(bytes, 200)
  const foreign = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'other')
  const headers = { authorization: `Bearer ${foreign}`, project: 'other' }
  assert.equal((await announce(bytes, 201, headers)).state, 'pending')
  const job = { spec: { runtime: 'bash', command: ['true'], files: { inputs: [{ path: 'x', file: own.id }] } } }
  const response = await gateway.call('POST', '/v1/projects/other/jobs', job, headers)
  assert.equal(response.json().errors[0].path, 'spec.files.inputs.0.file')
})

test('the outputs of a job are those of the attempt that decided it, and are fetched by a redirect', async () => {
  const { factory } = gateway
  const jobId = await factory.job({ spec: { priority: 100, retries: 1, backoff: { initialSeconds: 0 } } })
  const first = await gateway.attempts.assign(jobId)
  const artifact = { path: 'out/ä b.txt', sizeBytes: 5, sha256: hashOf(Buffer.from('hello')), executable: false }
  await gateway.attempts.finish(first, { exitCode: 1, artifacts: [{ ...artifact, path: 'old.txt' }] })
  const second = await gateway.attempts.assign(jobId)
  const { url, headers } = await gateway.objects.presignPut(artifactKey({ ...factory, jobId }, second.attemptId, artifact.path), 5, 60)
  assert.equal((await fetch(url, { method: 'PUT', headers, body: 'hello' })).status, 200)
  await gateway.attempts.finish(second, { artifacts: [artifact] })

  const list: unknown = (await gateway.call('GET', `/v1/jobs/${jobId}/artifacts`)).json()
  assert.ok(Value.Check(ArtifactList, list))
  assert.deepEqual(
    list.items.map(({ path, sizeBytes }) => [path, sizeBytes]),
    [['out/ä b.txt', 5]],
  )
  const response = await gateway.call('GET', `/v1/artifacts/${list.items[0]?.id}/download`)
  assert.equal(response.statusCode, 302)
  const download: unknown = response.json()
  assert.ok(Value.Check(Download, download))
  assert.equal(response.headers.location, download.url)
  const fetched = await fetch(download.url)
  assert.equal(await fetched.text(), 'hello')
  assert.equal(fetched.headers.get('content-disposition'), "attachment; filename*=UTF-8''%C3%A4%20b.txt")
  assert.ok(!gateway.logged.join('').includes('X-Amz-Signature'))
})

test('an artifact that is not there, or another project’s, is not found', async () => {
  assert.equal((await gateway.call('GET', `/v1/artifacts/${newId('artifact')}/download`)).statusCode, 404)
  const jobId = await gateway.factory.job({ spec: { priority: 100 } })
  const job = await gateway.attempts.assign(jobId)
  await gateway.attempts.finish(job, { artifacts: [{ path: 'x', sizeBytes: 0, sha256: hashOf(Buffer.alloc(0)), executable: false }] })
  const { items } = (await gateway.call('GET', `/v1/jobs/${jobId}/artifacts`)).json()
  const foreign = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'other')
  const response = await gateway.call('GET', `/v1/artifacts/${items[0].id}/download`, undefined, { authorization: `Bearer ${foreign}` })
  assert.equal(response.statusCode, 404)
})
