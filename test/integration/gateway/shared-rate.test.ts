import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { monotonicMs } from '#core/service/time.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { changeLimits } from '#store/limits.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { makeTenant } from '../../harness/tenants.ts'

let gateway: TestGateway
let gateways: FastifyInstance[]
before(async () => {
  gateway = await startGateway()
  gateways = [gateway.app, await gateway.another(), await gateway.another()]
})
after(async () => {
  for (const another of gateways.slice(1)) await another.close()
  await gateway.stop()
})

/** Requests of an account that may make so many a second. */
async function limited(requestsPerSecond: number) {
  const made = await makeTenant(gateway.admin)
  await changeLimits(gateway.admin, { accountId: made.accountId, projectId: null }, { requestsPerSecond })
  const key = await createApiKey(gateway.admin, made.projectId, 'key')
  return async (app: FastifyInstance) => {
    const { statusCode, headers } = await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${key}` } })
    return { allowed: statusCode === 200, retryAfter: Number(headers['retry-after'] ?? 0), policy: headers['ratelimit-policy'] }
  }
}

test('what several gateways let through at once is made up for by all of them', async () => {
  const ask = await limited(1)
  assert.ok((await Promise.all(gateways.map(ask))).every(({ allowed }) => allowed))
  // Each has let one through and hears of two more within a moment: it has to wait for three.
  const endMs = monotonicMs() + 10_000
  for (const app of gateways) {
    let answer = await ask(app)
    while (!answer.allowed && answer.retryAfter < 2 && monotonicMs() < endMs) answer = await ask(app)
    assert.deepEqual([answer.allowed, answer.retryAfter >= 2], [false, true])
  }
})

test('a client that spreads its requests over all gateways gets no more of them than one that does not', async () => {
  const perSecond = 20
  const ask = await limited(perSecond)
  const beganMs = monotonicMs()
  let allowed = 0
  await Promise.all(
    gateways.map(async (app) => {
      while (monotonicMs() < beganMs + 4000) if ((await ask(app)).allowed) allowed++
    }),
  )
  const seconds = (monotonicMs() - beganMs) / 1000
  // A second's worth at each to begin with; half of one more for what it did not hear yet of the others. Each by itself would let 300 through.
  const most = perSecond * (seconds + gateways.length * 1.5)
  assert.ok(allowed <= most, `${allowed} in ${seconds} s, not ${most}`)
})

test('a client that stays with one of several gateways has all of its limit there', async () => {
  const ask = await limited(20)
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(gateway.app)))
  assert.ok(answers.every(({ allowed }) => allowed))
  assert.equal(answers[0]?.policy, '"account";q=20;w=1')
})
