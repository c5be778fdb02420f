import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { stringify } from 'yaml'
import { createLog } from '#core/service/log.ts'
import { createEnrolmentToken } from '#store/bootstrap.ts'
import { row } from '#store/row.ts'
import { createHetzner, type Hetzner } from '../../../scheduler/cloud/hetzner.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { bootProcesses } from '../../harness/hetzner/boot-process.ts'
import { readHetznerEnv } from '../../harness/hetzner/client.ts'
import { type HetznerStandIn, startHetzner } from '../../harness/hetzner/stand-in.ts'

const dir = mkdtempSync(join(tmpdir(), 'rgrid-hetzner-'))
const signal = AbortSignal.timeout(600_000)
let gateway: TestGateway
let apiUrl: string
let standIn: HetznerStandIn
let cloud: Hetzner

before(async () => {
  gateway = await startGateway()
  apiUrl = await gateway.listen()
  standIn = await startHetzner({ createMs: 200, startMs: 200, deleteMs: 200, bootMs: 200, boot: bootProcesses({ dir }) })
  const config = readHetznerEnv({ RGRID_HCLOUD_URL: standIn.url, RGRID_HCLOUD_TOKEN: standIn.token })
  cloud = createHetzner(config, { installation: 'boot', log: createLog('test', 'silent') })
})
after(async () => {
  await standIn.stop()
  await gateway.stop()
  rmSync(dir, { recursive: true, force: true })
})

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const endsMs = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > endsMs) throw new Error(`not so after a minute: ${what}\n${logs()}`)
    await delay(100)
  }
}

/** What the runner of a machine has printed so far. */
function printed(id: number | string): string {
  const path = join(dir, `${id}.log`)
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function logs(): string {
  return [...standIn.world.servers.keys()].map(printed).join('\n')
}

/** Orders a machine as the provisioner would, with the cloud-init of a node. */
async function order(name: string, serverType: string) {
  const settings = { RGRID_API_URL: apiUrl, RGRID_ENROL_TOKEN: await createEnrolmentToken(gateway.admin, 300), RGRID_NODE_NAME: name }
  const content = Object.entries(settings)
    .map((pair) => `${pair.join('=')}\n`)
    .join('')
  const userData = `#cloud-config\n${stringify({ write_files: [{ path: '/etc/rgrid/node.env', permissions: '0600', content }] })}`
  return cloud.create({ nodeId: `node_${name}`, name, pool: 'default', serverType, location: 'fsn1', userData }, signal)
}

async function node(name: string): Promise<{ state: string; slots: number } | null> {
  return gateway.admin.maybeOne(
    sql.type(row(Type.Object({ state: Type.String(), slots: Type.Integer() })))`select state, slots from nodes where name = ${name}`,
  )
}

const statusOf = async (id: string) => (await cloud.list(signal)).find((server) => server.id === id)?.status

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`)
}

test('a machine that is bought becomes a node with the slots of its type, and goes when it is deleted', async () => {
  const server = await order('bought', 'cx33')
  await until('the node has enrolled', async () => (await node('bought'))?.state === 'ready')
  assert.equal((await node('bought'))?.slots, 4)
  assert.equal(await statusOf(server.id), 'running')
  const pid = standIn.world.servers.get(Number(server.id))?.booted?.pid
  assert.ok(pid !== undefined && isAlive(pid))
  await cloud.remove(server.id, signal)
  await until('its process is gone', () => !isAlive(pid))
  await until('its disk is gone', () => !existsSync(join(dir, server.id)))
  await until('the list lacks it', async () => (await statusOf(server.id)) === undefined)
})

test('a machine that switches itself off is off, and paid for until it is deleted', async () => {
  const server = await order('leaving', 'cx23')
  await until('the node has enrolled', async () => (await node('leaving'))?.state === 'ready')
  await until('its runner has started', () => printed(server.id).includes('"msg":"started"'))
  process.kill(standIn.world.servers.get(Number(server.id))?.booted?.pid ?? 0, 'SIGTERM')
  await until('it is off', async () => (await statusOf(server.id)) === 'off')
  const charge = () => standIn.world.bill.charges.find(({ kind, id }) => kind === 'server' && String(id) === server.id)
  assert.equal(charge()?.toMs, null)
  await cloud.remove(server.id, signal)
  assert.notEqual(charge()?.toMs, null)
})

test('a machine whose system does not come up runs, and never becomes a node', async () => {
  standIn.faults.add({ method: 'POST', route: '/servers', stuckBoot: true })
  const stuck = await order('stuck', 'cx23')
  const fine = await order('fine', 'cx23')
  await until('the other one has enrolled', async () => (await node('fine'))?.state === 'ready')
  assert.deepEqual([await statusOf(stuck.id), await node('stuck'), standIn.world.servers.get(Number(stuck.id))?.booted], ['running', null, null])
  for (const { id } of [stuck, fine]) await cloud.remove(id, signal)
  assert.equal(await gateway.admin.oneFirst(sql.unsafe`select count(*)::int from enrolment_tokens where used_at is null`), 1)
})
