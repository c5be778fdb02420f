import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { sql } from 'slonik'
import { Control } from '#bus/messages/node.ts'
import { controlSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { NodeView } from '#core/operator-api.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { cordonNode } from '#store/cordons.ts'
import { recordRenewal, recordSeen } from '#store/presence.ts'
import { hashSecret } from '#store/secrets.ts'
import { nodeBus } from '../../harness/bus.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { runCommand } from '../../harness/platform.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
beforeEach(async () => {
  await gateway.admin.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})
after(() => gateway.stop())

const tell = async (nodeId: string, verb: 'drain' | 'resume') => {
  const response = await gateway.call('POST', `/v1/nodes/${nodeId}/${verb}`)
  assert.equal(response.statusCode, 200, response.body)
  const node: unknown = response.json()
  assert.ok(Value.Check(NodeView, node), response.body)
  return [node.state, node.drainRequested]
}
const listed = async () => (await gateway.call('GET', '/v1/nodes')).json().items.map(({ id, state, drainRequested }: NodeView) => [id, state, drainRequested])
const beat = (nodeId: string, draining: boolean) => recordSeen(gateway.admin, [{ nodeId, draining }])
const keyWith = async (...scopes: string[]) => {
  const key = await createApiKey(gateway.admin, gateway.factory.projectId, 'test')
  await gateway.admin.query(sql.unsafe`update api_keys set scopes = ${sql.array(scopes, 'text')} where hash = ${sql.binary(hashSecret(key))}`)
  return key
}

test('a drained node gets no work whatever its heartbeat says, until it is resumed', async () => {
  const node = await gateway.factory.node()
  const job = await gateway.factory.job()
  assert.deepEqual(await tell(node, 'drain'), ['draining', true])
  assert.deepEqual(await listed(), [[node, 'draining', true]])
  await beat(node, false)
  assert.deepEqual(await listed(), [[node, 'draining', true]])
  assert.deepEqual(await gateway.attempts.claim(node), [])
  assert.deepEqual(await recordRenewal(gateway.admin, node, []), { drain: true, patient: false, young: true })
  assert.deepEqual(await tell(node, 'resume'), ['ready', false])
  assert.deepEqual(await recordRenewal(gateway.admin, node, []), { drain: false, patient: false, young: true })
  assert.deepEqual(
    (await gateway.attempts.claim(node)).map((claimed) => claimed.jobId),
    [job],
  )
})

test('both may be said again; what runs on the node goes on', async () => {
  const job = await gateway.attempts.assign(await gateway.factory.job())
  const requestedAt = () => gateway.admin.oneFirst(sql.unsafe`select drain_requested_at::text from nodes where id = ${job.nodeId}`)
  assert.deepEqual(await tell(job.nodeId, 'drain'), ['draining', true])
  const first = await requestedAt()
  assert.deepEqual(await tell(job.nodeId, 'drain'), ['draining', true])
  assert.equal(await requestedAt(), first)
  assert.equal((await gateway.factory.jobState(job.jobId)).state, 'running')
  await gateway.attempts.finish(job)
  assert.deepEqual(await tell(job.nodeId, 'resume'), ['ready', false])
  assert.deepEqual(await tell(job.nodeId, 'resume'), ['ready', false])
})

test('a node that drains by itself is not made ready by resume for longer than to its next heartbeat', async () => {
  const node = await gateway.factory.node()
  await beat(node, true)
  assert.deepEqual(await listed(), [[node, 'draining', false]])
  await tell(node, 'resume')
  await beat(node, true)
  assert.deepEqual(await listed(), [[node, 'draining', false]])
})

test('a lost node stays lost when it is to drain, and drains when it is back', async () => {
  const node = await gateway.factory.node({ state: 'lost' })
  assert.deepEqual(await tell(node, 'drain'), ['lost', true])
  assert.deepEqual(await recordRenewal(gateway.admin, node, []), { drain: true, patient: false, young: true })
  assert.deepEqual(await listed(), [[node, 'draining', true]])
})

test('of a node that is cordoned it is told why; a resume lifts it, and is in the audit log; a drain takes its place', async () => {
  const node = await gateway.factory.node()
  const why = 'cordoned: 3 jobs failed here'
  const shown = async (verb?: 'drain' | 'resume') => {
    if (verb) await tell(node, verb)
    const { state, drainRequested, cordonReason } = (await gateway.call('GET', `/v1/nodes/${node}`)).json() as NodeView
    return { state, drainRequested, cordonReason }
  }
  assert.ok(await cordonNode(gateway.admin, node, why))
  assert.deepEqual(await shown(), { state: 'draining', drainRequested: false, cordonReason: why })
  assert.equal(await cordonNode(gateway.admin, node, 'again'), false)
  assert.deepEqual(await shown('resume'), { state: 'ready', drainRequested: false, cordonReason: null })
  assert.deepEqual(await gateway.admin.anyFirst(sql.unsafe`select action from audit_log where object_id = ${node}`), ['node.resume'])
  assert.ok(await cordonNode(gateway.admin, node, why))
  assert.deepEqual(await shown('drain'), { state: 'draining', drainRequested: true, cordonReason: null })
})

test('the node is told over the bus', async () => {
  const { bus, nodeId } = await nodeBus(await gateway.factory.node())
  const told: Control[] = []
  const both = Promise.withResolvers<void>()
  bus.subscribe(controlSubject(nodeId), Control, (message) => told.push(message) === 2 && both.resolve())
  await bus.connection.flush()
  await tell(nodeId, 'drain')
  await tell(nodeId, 'resume')
  await both.promise
  assert.deepEqual(told, [{ kind: 'drain' }, { kind: 'resume' }])
  await bus.close()
})

test('a node that is not there, or is gone, is 404', async () => {
  const gone = await gateway.factory.node({ state: 'gone' })
  for (const id of [newId('node'), gone, 'x', '%3E']) {
    for (const verb of ['drain', 'resume']) {
      const response = await gateway.call('POST', `/v1/nodes/${id}/${verb}`)
      assert.equal(response.statusCode, 404, response.body)
      assert.equal(response.json().code, 'not_found')
    }
  }
})

test('only operators see nodes and may do it', async () => {
  const node = await gateway.factory.node()
  const call = async (key: string, method: 'GET' | 'POST', url: string) => gateway.app.inject({ method, url, headers: { authorization: `Bearer ${key}` } })
  for (const key of [await keyWith(), await keyWith('*'), await keyWith('jobs:write', 'operators')]) {
    const response = await call(key, 'POST', `/v1/nodes/${node}/drain`)
    assert.equal(response.statusCode, 403, response.body)
    assert.equal(response.json().code, 'forbidden')
    assert.match(response.json().detail, /scope "operator"/)
    assert.equal((await call(key, 'GET', '/v1/nodes')).statusCode, 403)
  }
  assert.deepEqual(await listed(), [[node, 'ready', false]])
  assert.equal((await call(await keyWith('jobs:write', 'operator'), 'POST', `/v1/nodes/${node}/drain`)).statusCode, 200)
})

test('rgrid nodes lists, drains and resumes', async () => {
  const node = await gateway.factory.node({ slots: 4, memoryBytes: 3 * 2 ** 29 })
  const env = { RGRID_API_URL: await gateway.listen(), RGRID_API_KEY: gateway.key }
  const rgrid = (...args: string[]) => runCommand(join(import.meta.dirname, '../../../cli/rgrid'), ['nodes', ...args], { env })
  const row = new RegExp(`^${node} +${node.slice(-8)} +ready +\\d+[sm] +- +0/4 +1.5 GiB +by hand +- +0 +- +-$`, 'm')
  assert.match((await rgrid()).stdout, row)
  const drained = await rgrid('drain', node)
  assert.match(drained.stdout, /^NODE +NAME +STATE +AGE +PAID +SLOTS +MEMORY +MACHINE +EUR\/H +IMAGES +SEEN +WHY\n.* draining /)
  assert.equal(drained.code, 0)
  assert.equal(JSON.parse((await rgrid('list', '--json')).stdout).state, 'draining')
  assert.match((await rgrid('resume', node)).stdout, row)
  await cordonNode(gateway.admin, node, 'cordoned: 3 jobs failed here')
  assert.match((await rgrid()).stdout, /^node_.* draining .* cordoned: 3 jobs failed here$/m)
  assert.match((await rgrid('resume', node)).stdout, row)
  assert.deepEqual((await rgrid('drain', newId('node'))).code, 3)
  for (const args of [['drain'], ['stop', node], ['list', node], ['drain', node, node]]) assert.equal((await rgrid(...args)).code, 2)
})
