import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { createEnrolmentToken } from '#store/bootstrap.ts'
import { row } from '#store/row.ts'
import { findProcesses } from '../../../infra/local/process-table.ts'
import { CloudError, type Order } from '../../../scheduler/cloud/cloud.ts'
import { createLocalCloud } from '../../../scheduler/cloud/local.ts'
import { userData } from '../../../scheduler/cloud/user-data.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

const ROOT = join(import.meta.dirname, '../../..')
const dir = mkdtempSync(join(tmpdir(), 'rgrid-machines-'))
const instance = dir.slice(-6)
const socket = join(dir, 'host.sock')
const cloud = createLocalCloud({ socket, slots: 2, memoryBytes: 2 ** 30, hourMicrons: 8000, billing: 'second' })
const signal = AbortSignal.timeout(600_000)
let gateway: TestGateway
let apiUrl: string
let host: ChildProcess

before(async () => {
  gateway = await startGateway()
  apiUrl = await gateway.listen()
  host = await startHost()
})
after(async () => {
  try {
    for (const server of await cloud.list(signal)) await cloud.remove(server.id, signal)
    await until('no machine is left', async () => (await cloud.list(signal)).length === 0)
  } finally {
    host?.kill()
    await gateway?.stop()
  }
  rmSync(dir, { recursive: true, force: true })
})

async function startHost(): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['infra/machines/main.ts'], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      RGRID_MACHINES_DIR: join(dir, 'machines'),
      RGRID_MACHINES_SOCKET: socket,
      RGRID_MACHINES_INSTANCE: instance,
      RGRID_MACHINES_MAX: '3',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  await until('the host answers', () => cloud.list(signal).then(Boolean, () => false))
  return child
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const endsMs = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > endsMs) throw new Error(`not so after a minute: ${what}`)
    await delay(100)
  }
}

/** A row and an order for it, as the provisioner would make them. */
async function anOrder(): Promise<Order> {
  const nodeId = newId('node')
  const name = `rgrid-test-${nodeId.slice(-12)}`
  await gateway.admin.query(sql.unsafe`
    insert into nodes (id, name, pool, state, slots, memory_bytes, provider, server_type, location, arch)
    values (${nodeId}, ${name}, 'default', 'booting', 2, ${2 ** 30}, 'local', 'local', 'here', 'amd64')`)
  const boot = { apiUrl, runnerImage: 'rgrid/node-runner:0.1.0', runnerArchiveUrl: null, gvisor: false, deadmanMinutes: 30 }
  const token = await createEnrolmentToken(gateway.admin, 120, nodeId)
  const data = userData({ ...boot, token, name, pool: 'default', slots: 2, memoryBytes: 2 ** 30 })
  return { nodeId, name, pool: 'default', serverType: 'local', location: 'here', userData: data }
}

const stateOf = (nodeId: string) => gateway.admin.oneFirst(sql.type(row(Type.Object({ state: Type.String() })))`select state from nodes where id = ${nodeId}`)
const pidOf = (serverId: string) => findProcesses(instance).find((found) => found.name === `node-runner@${serverId}`)?.pid

test('machines that are ordered become the nodes that they were ordered for, beside each other, and go', async () => {
  const orders = [await anOrder(), await anOrder()]
  const servers = await Promise.all(orders.map((order) => cloud.create(order, signal)))
  for (const [i, order] of orders.entries()) {
    assert.deepEqual(
      { ...servers[i], id: '', createdAtMs: 0 },
      { id: '', createdAtMs: 0, name: order.name, nodeId: order.nodeId, serverType: 'local', location: 'here', status: 'running' },
    )
    await until(`${order.name} is ready`, async () => (await stateOf(order.nodeId)) === 'ready')
  }
  // Each has a folder of its own, and the settings of its user data.
  const dirs = servers.map(({ id }) => environmentOf(pidOf(id) ?? 0).RGRID_NODE_DIR)
  assert.deepEqual(
    dirs,
    servers.map(({ id }) => join(dir, 'machines', id, 'node')),
  )
  for (const { id } of servers) assert.equal(environmentOf(pidOf(id) ?? 0).RGRID_NODE_SLOTS, '2')
  assert.deepEqual((await cloud.list(signal)).map((server) => server.nodeId).sort(), orders.map((order) => order.nodeId).sort())

  for (const { id } of servers) await cloud.remove(id, signal)
  await until('both are gone', async () => (await cloud.list(signal)).length === 0)
  assert.deepEqual(readdirSync(join(dir, 'machines')), [])
  for (const { id } of servers) assert.equal(pidOf(id), undefined)
  // One that is gone is fine.
  await cloud.remove(servers[0]?.id ?? '', signal)
})

test('an order that is repeated meets the first one; beyond the limit there is none; nonsense is refused', async () => {
  const order = await anOrder()
  const fails = (kind: string) => (error: unknown) => error instanceof CloudError && error.kind === kind
  await cloud.create(order, signal)
  await assert.rejects(cloud.create(order, signal), fails('exists'))
  await assert.rejects(cloud.create({ ...(await anOrder()), userData: '#cloud-config\n{}' }, signal), fails('refused'))
  await assert.rejects(cloud.create({ ...(await anOrder()), name: '../../etc' }, signal), fails('refused'))
  await cloud.create(await anOrder(), signal)
  await cloud.create(await anOrder(), signal)
  await assert.rejects(cloud.create(await anOrder(), signal), fails('limit'))
  for (const { id } of await cloud.list(signal)) await cloud.remove(id, signal)
  await until('all are gone', async () => (await cloud.list(signal)).length === 0)
})

test('a machine whose runner dies is off; what it left is taken away with it, by a host that starts anew too', async () => {
  const order = await anOrder()
  const { id } = await cloud.create(order, signal)
  await until('it is ready', async () => (await stateOf(order.nodeId)) === 'ready')
  const nodeDir = join(dir, 'machines', id, 'node')
  // What a runner that is killed leaves: a container of a job, its network and the rules of that.
  const labels = ['--label', `rgrid.dir=${nodeDir}`, '--label', `rgrid.node=${order.nodeId}`]
  const hex = randomBytes(4).toString('hex')
  const [network, chain] = [`rgrid-${hex}`, `RGRID-F-${hex}`]
  docker('network', 'create', ...labels, '-o', `com.docker.network.bridge.name=${network}`, network)
  iptables('-N', chain)
  iptables('-I', 'DOCKER-USER', '-i', network, '-j', chain)
  process.kill(pidOf(id) ?? 0, 'SIGKILL')
  await until('it is off', async () => (await cloud.list(signal))[0]?.status === 'off')

  host.kill('SIGKILL')
  await once(host, 'exit')
  await assert.rejects(cloud.list(signal), (error: unknown) => error instanceof CloudError && error.kind === 'away')
  await assert.rejects(cloud.create(order, signal), (error: unknown) => error instanceof CloudError && error.kind === 'away')
  host = await startHost()
  assert.deepEqual(
    (await cloud.list(signal)).map((server) => [server.id, server.status]),
    [[id, 'off']],
  )
  await cloud.remove(id, signal)
  await until('it is gone', async () => (await cloud.list(signal)).length === 0)
  assert.equal(docker('network', 'ls', '-q', '--filter', `name=${network}`), '')
  assert.throws(() => iptables('-n', '-L', chain))
  assert.ok(!existsSync(nodeDir))
})

const docker = (...args: string[]) => execFileSync('docker', args, { encoding: 'utf8' }).trim()
const iptables = (...args: string[]) => execFileSync('iptables', ['-w', ...args], { encoding: 'utf8', stdio: 'pipe' })

function environmentOf(pid: number): Record<string, string> {
  const variables = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0')
  return Object.fromEntries(variables.map((variable) => variable.split(/=(.*)/s).slice(0, 2)))
}
