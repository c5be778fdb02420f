import type { AddressInfo } from 'node:net'
import { sql } from 'slonik'
import { createNodeKey } from '#bus/credentials.ts'
import { newId } from '#core/ids.ts'
import { createApiKey, createEnrolmentToken } from '#store/bootstrap.ts'
import { startGateway, type TestGateway } from '../harness/gateway.ts'
import { createPeople } from '../harness/people.ts'
import { type Operation, operationsOf } from './operations.ts'

const ORG = 'org_fuzz'

/** Who asks: a name, and the headers of their credential. */
export type Credential = readonly [who: string, headers: readonly [string, string][]]

/** A gateway with something in it to ask for. */
export interface World {
  gateway: TestGateway
  port: number
  operations: Operation[]
  /** Ids of what is there, by the parameter of an address: `jobs`, `batches`, …; what is made adds to them. */
  objects: Map<string, string[]>
  credentials(): Promise<Credential[]>
  /** Takes back what would leave everything refused from here on, limits and the credentials' own standing, and makes anew what was deleted. */
  settle(): Promise<void>
  stop(): Promise<void>
}

/** Starts one on real servers, with a job that runs, one that has ended, outputs, a batch, webhooks, keys, nodes, people. */
export async function startWorld(): Promise<World> {
  const people = await createPeople()
  const gateway = await startGateway({ oidc: people.oidc })
  const { admin, factory } = gateway
  await gateway.listen()
  const { port } = gateway.app.server.address() as AddressInfo
  await admin.query(sql.unsafe`update accounts set issuer = ${people.issuer}, external_id = ${`org:${ORG}`} where id = ${factory.accountId}`)
  const operator = await createApiKey(admin, factory.projectId, 'operator')
  const project = await createApiKey(admin, factory.projectId, 'project', ['*'])
  const made = async (method: 'POST' | 'PUT', url: string, body: unknown) => (await gateway.call(method, url, body)).json<{ id: string }>().id
  const job = await gateway.attempts.assign(await factory.job())
  await gateway.attempts.finish(job, { artifacts: [{ path: 'a.txt', sizeBytes: 1, sha256: 'a'.repeat(64), executable: false }] })
  const spare = async (n: number, make: (i: number) => Promise<string>) => Promise.all(Array.from({ length: n }, (_, i) => make(i)))
  const token = (who: string, role: 'owner' | 'viewer') => people.token(who, { id: ORG, role })
  const member = async (who: string) =>
    (await gateway.app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${await token(who, 'viewer')}` } })).json<{ id: string }>().id
  const objects = new Map<string, string[]>(
    Object.entries({
      jobs: [job.jobId, await factory.job(), await factory.job({ held: 'batch' })],
      artifacts: [...(await admin.anyFirst(sql.unsafe`select id from artifacts`))] as string[],
      batches: [await factory.batch({ size: 1 })],
      nodes: [await factory.node(), await factory.node({ state: 'lost' })],
      accounts: ['default', newId('account')],
      userId: [await member('guest-1'), await member('guest-2'), 'user_nobody'],
      slug: ['default'],
      name: ['A_SECRET', 'ANOTHER', 'NEW_ONE'],
      publicKeys: Array.from({ length: 5 }, () => createNodeKey().publicKey),
      tokens: await spare(20, () => createEnrolmentToken(admin, 3600)),
    }),
  )
  const owner = await member('owner')
  const viewer = await member('viewer')

  return {
    gateway,
    port,
    operations: operationsOf((await gateway.app.inject('/openapi.json')).json()),
    objects,
    credentials: async () => [
      ['operator', [['authorization', `Bearer ${operator}`]]],
      ['project key', [['x-rgrid-key', project]]],
      ['owner', [['authorization', `Bearer ${await token('owner', 'owner')}`]]],
      ['viewer', [['authorization', `Bearer ${await token('viewer', 'viewer')}`]]],
      ['nobody', []],
    ],
    async settle() {
      await admin.query(sql.unsafe`delete from webhook_endpoints`)
      await admin.query(sql.unsafe`delete from secrets`)
      const webhooks = await spare(4, (i) => made('POST', '/v1/projects/default/webhooks', { url: `https://example.com/${i}`, events: ['job.failed'] }))
      objects.set('webhooks', webhooks)
      objects.set(
        'doomed webhooks',
        await spare(2, (i) => made('POST', '/v1/projects/default/webhooks', { url: `https://example.com/doomed/${i}`, events: ['job.failed'] })),
      )
      objects.set('doomed keys', await spare(2, (i) => made('POST', '/v1/projects/default/keys', { name: `doomed ${i}`, scopes: ['jobs:read'] })))
      objects.set('deliveries', await spare(4, () => made('POST', `/v1/webhooks/${webhooks[0]}/test`, undefined)))
      objects.set('keys', await spare(4, (i) => made('POST', '/v1/projects/default/keys', { name: `spare ${i}`, scopes: ['jobs:read'] })))
      objects.set('jobs', [job.jobId, ...(await spare(4, () => factory.job()))])
      await made('PUT', '/v1/projects/default/secrets/A_SECRET', { value: 'a value' })
      await admin.query(sql.unsafe`delete from limits where id <> 'default'`)
      await admin.query(sql.unsafe`
        update limits set requests_per_second = null, running_jobs = null, open_jobs = null, job_cpu_millis = null, job_memory_bytes = null,
          job_timeout_seconds = null, batch_items = null, storage_bytes = null, month_microns = null where id = 'default'`)
      await admin.query(
        sql.unsafe`update memberships set role = 'owner', source = 'manual' where user_id = ${owner} and account_id = ${factory.accountId} and project_id is null`,
      )
      await admin.query(
        sql.unsafe`update memberships set role = 'viewer', source = 'manual' where user_id = ${viewer} and account_id = ${factory.accountId} and project_id is null`,
      )
    },
    async stop() {
      await gateway.stop()
      await people.stop()
    },
  }
}
