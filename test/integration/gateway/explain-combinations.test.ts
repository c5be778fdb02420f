import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { sql } from 'slonik'
import type { JobPage } from '#core/api.ts'
import { Explanation, type ReasonCode } from '#core/explain.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { cordonNode } from '#store/cordons.ts'
import { changeLimits } from '#store/limits.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startLeader } from '../../harness/leader.ts'
import { forgetMachines, seedCell, seedMachine, seedScaling } from '../../harness/machines.ts'
import { makeTenant, queueJobs } from '../../harness/tenants.ts'

/** The machines that there are. A job asks for two slots. */
const NODES = ['none', 'room', 'full', 'small', 'unheard', 'drained', 'cordoned', 'leaving', 'lost'] as const
/** Those on their way; each has four slots, or one. */
const COMING = ['none', 'planned', 'booting', 'small'] as const
/** What can be bought. */
const BUYING = ['nothing', 'stock', 'sold_out', 'small_only', 'max_nodes', 'max_spend', 'limit', 'burst', 'stale'] as const
const LIMITED = ['none', 'account', 'project'] as const

type Situation = { led: boolean; nodes: (typeof NODES)[number]; coming: (typeof COMING)[number]; buying: (typeof BUYING)[number] }
type Waiting = { limited: (typeof LIMITED)[number]; isFirst: boolean }

/** The order of docs/EXPLAIN.md, said once more and by hand. */
function expected({ led, nodes, coming, buying }: Situation, { limited, isFirst }: Waiting): ReasonCode {
  const isBought = buying !== 'nothing' && buying !== 'stale'
  const anything = nodes !== 'none' || coming !== 'none' || isBought
  const couldFit = !['none', 'small'].includes(nodes) || coming === 'booting' || coming === 'planned' || (isBought && buying !== 'small_only')
  if (anything && !couldFit) return 'too_large'
  if (!led) return 'paused'
  if (limited !== 'none') return 'quota'
  if (nodes === 'room') return 'queue'
  const lack = { max_spend: 'budget', max_nodes: 'capacity', limit: 'capacity', sold_out: 'capacity' } as const
  const none = buying in lack ? lack[buying as keyof typeof lack] : undefined
  // What is only planned does not come while nothing is sold.
  const isComing = coming === 'booting' || (coming === 'planned' && !['limit', 'sold_out'].includes(buying))
  if (isComing && (isFirst || (nodes !== 'full' && none === undefined))) return 'booting'
  if (none !== undefined) return none
  if (nodes === 'full') return 'queue'
  return nodes === 'unheard' || nodes === 'drained' || nodes === 'cordoned' ? 'paused' : 'no_nodes'
}

let gateway: TestGateway
const nodeIds = new Map<string, string>()
const asking: (Waiting & { key: string; slug: string; jobId: string })[] = []

before(async () => {
  gateway = await startGateway()
  const { admin } = gateway
  for (const nodes of NODES.slice(1)) {
    const state = nodes === 'lost' ? 'lost' : nodes === 'leaving' ? 'draining' : 'ready'
    nodeIds.set(nodes, await seedMachine(admin, { state, slots: nodes === 'small' ? 1 : 2, drained: nodes === 'drained' }))
  }
  assert.ok(await cordonNode(admin, nodeIds.get('cordoned') ?? '', 'it fails jobs'))
  for (const coming of COMING.slice(1))
    nodeIds.set(`coming ${coming}`, await seedMachine(admin, { state: coming === 'planned' ? 'planned' : 'booting', slots: coming === 'small' ? 1 : 4 }))
  // What fills the machine that is full is another account's: nobody may see the job, everybody that there is no room.
  await forgetMachines(admin)
  const other = await makeTenant(admin)
  await queueJobs(admin, other, 1, { slots: 2 })
  await admin.query(sql.unsafe`update nodes set state = 'ready', ended_at = null, last_seen_at = now() where id = ${nodeIds.get('full') ?? ''}`)
  assert.equal((await gateway.attempts.claim(nodeIds.get('full') ?? '')).length, 0, 'one slot is asked for')
  await admin.query(sql.unsafe`
    with job as (update jobs set state = 'running', attempt_id = 'att_full' where account_id = ${other.accountId} returning id)
    insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state)
    select 'att_full', ${other.accountId}, id, 1, ${nodeIds.get('full') ?? ''}, 'x', 2, 1, 'running' from job`)
  for (const limited of LIMITED) {
    const tenant = await makeTenant(admin)
    if (limited !== 'none') await changeLimits(admin, { ...tenant, projectId: limited === 'project' ? tenant.projectId : null }, { runningJobs: 0 })
    await queueJobs(admin, tenant, 7, { slots: 2 })
    const ids = await admin.anyFirst(sql.unsafe`select id from jobs where account_id = ${tenant.accountId} order by seq`)
    const key = await createApiKey(admin, tenant.projectId, 'key')
    const slug = tenant.projectId.slice(5).replaceAll('_', '-')
    // Its place says nothing about a job that a limit keeps back.
    for (const isFirst of limited === 'none' ? [true, false] : [true]) asking.push({ limited, isFirst, key, slug, jobId: String(ids.at(isFirst ? 0 : -1)) })
  }
})
after(() => gateway.stop())

async function seed({ nodes, coming, buying }: Situation): Promise<void> {
  const { admin } = gateway
  await forgetMachines(admin)
  const state = nodes === 'lost' ? 'lost' : nodes === 'leaving' ? 'draining' : 'ready'
  await admin.query(sql.unsafe`
    update nodes set state = ${state}, ended_at = null, enrolled_at = now() - interval '1 hour',
      last_seen_at = now() - make_interval(secs => ${nodes === 'unheard' ? 60 : 0}) where id = ${nodeIds.get(nodes) ?? ''}`)
  await admin.query(
    sql.unsafe`update nodes set state = ${coming === 'planned' ? 'planned' : 'booting'}, ended_at = null where id = ${nodeIds.get(`coming ${coming}`) ?? ''}`,
  )
  if (buying === 'nothing') return
  const shortage = ['max_nodes', 'max_spend', 'limit', 'burst'].find((code) => code === buying)
  await seedScaling(admin, {
    ...(shortage ? { shortage } : {}),
    ...(buying === 'max_spend' ? { leftMicrons: 100 } : {}),
    decidedAgo: buying === 'stale' ? 3600 : 0,
  })
  await seedCell(admin, { slots: buying === 'small_only' ? 1 : 2, available: buying !== 'sold_out' })
}

for (const led of [true, false]) {
  test(`every combination of machines, purchases, limits and places ${led ? 'with' : 'without'} a scheduler has exactly the reason that is documented`, async (t) => {
    const leader = led ? await startLeader(gateway.schedulerUrl) : undefined
    t.after(() => leader?.stop())
    const found = new Set<ReasonCode>()
    for (const nodes of NODES)
      for (const coming of COMING)
        for (const buying of led ? BUYING : (['nothing', 'stock', 'small_only'] as const)) {
          const situation = { led, nodes, coming, buying }
          await seed(situation)
          const codes = await Promise.all(asking.map(reasonOf))
          for (const [index, job] of asking.entries()) {
            const code = codes[index] as ReasonCode
            found.add(code)
            assert.equal(code, expected(situation, job), JSON.stringify({ ...situation, limited: job.limited, isFirst: job.isFirst }))
          }
        }
    const codes: ReasonCode[] = led ? ['booting', 'budget', 'capacity', 'no_nodes', 'paused', 'queue', 'quota', 'too_large'] : ['paused', 'too_large']
    assert.deepEqual([...found].sort(), codes)
  })
}

/** The code; the message is never empty, and what the list of jobs says (asked for of one of the projects). */
async function reasonOf({ key, slug, jobId, limited, isFirst }: (typeof asking)[number]): Promise<ReasonCode> {
  const get = async (url: string) => gateway.app.inject({ url, headers: { authorization: `Bearer ${key}` } })
  const explained = await get(`/v1/jobs/${jobId}/explain`)
  const explanation: unknown = explained.json()
  assert.ok(Value.Check(Explanation, explanation), explained.body)
  assert.notEqual(explanation.message, '')
  if (limited !== 'none' || !isFirst) return explanation.code
  const { items } = (await get(`/v1/projects/${slug}/jobs`)).json<JobPage>()
  assert.ok(items.every(({ reason }) => reason !== null && reason !== ''))
  // A moment later.
  const timeless = (text: string | null | undefined) => text?.replaceAll(/\d+ s\b/g, 'N s')
  assert.equal(timeless(items.find(({ id }) => id === jobId)?.reason), timeless(explanation.message))
  return explanation.code
}
