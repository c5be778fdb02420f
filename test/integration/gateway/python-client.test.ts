import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPeople, type People } from '../../harness/people.ts'
import { ensurePythonRequests, python } from '../../harness/python-client.ts'

let people: People
let gateway: TestGateway
let url: string
before(async () => {
  await ensurePythonRequests()
  people = await createPeople()
  gateway = await startGateway({ oidc: people.oidc })
  url = await gateway.listen()
})
after(async () => {
  await gateway?.stop()
  await people?.stop()
})

test('a month that is full is raised at once, with when the next one begins', async () => {
  assert.equal((await gateway.call('PATCH', '/v1/projects/default/limits', { monthMicrons: 1 })).statusCode, 200)
  const program = 'import sys, rgrid_client as r; r.Client(sys.argv[1], sys.argv[2]).submit({"spec": {"runtime": "bash", "code": "true"}})'
  const fromMs = performance.now()
  const { code, stderr } = await python(['-c', program, url, gateway.key])
  assert.equal(code, 1)
  assert.match(stderr, /RuntimeError: limit_exceeded: the project may spend .* \(request [\w-]+; Retry-After: \d+\)\n$/)
  assert.ok(performance.now() - fromMs < 30_000)
})

test('a token speaks for the account that is chosen, else for the one it names', async () => {
  const home = (await gateway.app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${await people.token('ada')}` } })).json().account.id
  const token = await people.token('ada', { id: 'org_acme', role: 'developer' })
  const program =
    'import sys, rgrid_client as r; print(r.Client(sys.argv[1], sys.argv[2], account=sys.argv[3]).call("GET", "/v1/me").json()["account"]["name"])'
  for (const [account, name] of [
    [home, 'ada'],
    ['', 'org_acme'],
  ]) {
    const { stdout, stderr } = await python(['-c', program, url, token, account])
    assert.equal(stdout, `${name}\n`, stderr)
  }
})
