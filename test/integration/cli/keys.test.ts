import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { KeyView, NewKeyView } from '#core/key-api.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { runCommand } from '../../harness/platform.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')
const A_KEY = /^rgrid_live_[0-9A-Za-z]{8}_[0-9A-Za-z]{38}\n$/
let gateway: TestGateway
let env: Record<string, string>

before(async () => {
  gateway = await startGateway()
  env = { RGRID_API_URL: await gateway.listen(), RGRID_API_KEY: gateway.key }
})
after(() => gateway.stop())

const rgrid = (...args: string[]) => runCommand(RGRID, args, { env })
/** The status of a call with this key. */
async function statusWith(key: string, path = '/v1/projects/default/jobs') {
  return (await gateway.call('GET', path, undefined, { authorization: `Bearer ${key.trim()}` })).statusCode
}
/** Waits until a key is refused, as it is within a second. */
const refused = (key: string) =>
  withDeadline('a key is refused', 30_000, async (signal) => {
    while ((await statusWith(key)) !== 401) await sleep(50, signal)
  })
/** The fields of a line of the table of keys, by what stands in it. */
const row = (table: string, holds: string) =>
  table
    .split('\n')
    .find((line) => line.includes(holds))
    ?.split(/ {2,}/)
const beginningOf = (key: string) => key.slice(0, 'rgrid_live_12345678'.length)
const keyIn = (text: string) => /key_[0-9a-z]+/.exec(text)?.[0] ?? assert.fail(`no id in: ${text}`)

test('a new key is all of stdout, may do what was said and no more, and is listed without itself', async () => {
  const made = await rgrid('keys', 'create', 'ci', '--scope', 'jobs:read', '--scope', 'jobs:write', '--expires', '90d')
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, A_KEY)
  assert.match(made.stderr, /^key_\w+ \(ci\) may jobs:read jobs:write and expires at \S+Z; this is the only time that the key is shown\n$/)
  assert.ok(!made.stderr.includes(made.stdout.trim()))
  assert.equal(await statusWith(made.stdout), 200)
  assert.equal(await statusWith(made.stdout, '/v1/projects/default/keys'), 403)
  const table = (await rgrid('keys')).stdout
  assert.match(table, /^KEY +NAME +BEGINS +STATE +EXPIRES +USED +AGE +SCOPES\n/)
  assert.deepEqual(row(table, beginningOf(made.stdout))?.slice(0, 5), [keyIn(made.stderr), 'ci', beginningOf(made.stdout), 'valid', '90d'])
  assert.deepEqual(row(table, beginningOf(made.stdout))?.at(-1), 'jobs:read jobs:write')
  assert.deepEqual(row(table, beginningOf(gateway.key))?.slice(3, 5), ['valid', 'never'])
  assert.ok(!table.includes(made.stdout.trim()) && !table.includes(gateway.key))
})

test('--json: the new key with what is known of it, and the list a line each', async () => {
  const made: unknown = JSON.parse((await rgrid('keys', 'create', 'tests', '--scope', '*', '--environment', 'test', '--json')).stdout)
  assert.ok(Value.Check(NewKeyView, made))
  assert.match(made.key, /^rgrid_test_/)
  assert.deepEqual([made.scopes, made.environment, made.expiresAt], [['*'], 'test', null])
  const listed = (await rgrid('keys', 'list', '--json')).stdout
  const keys = listed
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  assert.ok(keys.length >= 2 && keys.every((key) => Value.Check(KeyView, key)))
  assert.ok(!listed.includes(made.key))
})

test('rotate by what the key begins with: both work for the overlap, then only the new one', async () => {
  const old = (await rgrid('keys', 'create', 'worker', '--scope', 'jobs:read')).stdout
  const next = await rgrid('keys', 'rotate', `${beginningOf(old)}_`, '--overlap', '1h')
  assert.equal(next.code, 0, next.stderr)
  assert.match(next.stdout, A_KEY)
  const until = /^key_\w+, in the place of which it comes, works until (\S+)$/m.exec(next.stderr)?.[1] ?? ''
  const kept = (await gateway.call('GET', `/v1/keys/${keyIn(next.stderr.split('\n')[1] ?? '')}`)).json<KeyView>()
  assert.ok(kept.expiresAt && Math.abs(Date.parse(until) - Date.parse(kept.expiresAt)) < 5000, `${until} is not ${kept.expiresAt}`)
  assert.deepEqual([await statusWith(old), await statusWith(next.stdout)], [200, 200])
  assert.equal(row((await rgrid('keys')).stdout, beginningOf(old))?.[3], 'replaced')
  const again = await rgrid('keys', 'rotate', beginningOf(old))
  assert.deepEqual([again.code, again.stdout], [1, ''])
  assert.match(again.stderr, /was replaced by key_\w+ already; rotate that one/)
  const last = await rgrid('keys', 'rotate', beginningOf(next.stdout), '--overlap', '0')
  await refused(next.stdout)
  assert.equal(await statusWith(last.stdout), 200)
})

test('the key that rgrid uses itself can be rotated at once: the new one is told, and where to put it', async () => {
  const own = await createApiKey(gateway.admin, gateway.factory.projectId, 'own')
  const { code, stdout, stderr } = await runCommand(RGRID, ['keys', 'rotate', beginningOf(own), '--overlap', '0'], {
    env: { ...env, RGRID_API_KEY: own },
  })
  assert.equal(code, 0, stderr)
  assert.match(stderr, /rgrid uses that key itself, from the environment: give it another one there\n$/)
  await refused(own)
  assert.equal(await statusWith(stdout), 200)
})

test('revoke by id: refused from then on', async () => {
  const made = await rgrid('keys', 'create', 'short', '--scope', 'jobs:read')
  const revoked = await rgrid('keys', 'revoke', keyIn(made.stderr))
  assert.equal(revoked.code, 0, revoked.stderr)
  assert.match(revoked.stderr, /^key_\w+ \(short\) is revoked; within a second it works nowhere\n$/)
  await refused(made.stdout)
  assert.deepEqual(row((await rgrid('keys')).stdout, beginningOf(made.stdout))?.slice(3, 5), ['revoked', '-'])
  assert.equal((await rgrid('keys', 'revoke', 'key_nothing')).code, 3)
})

test('nobody makes more than they may, and what is wrong is named before anything is asked', async () => {
  const key = await createApiKey(gateway.admin, gateway.factory.projectId, 'maker', ['keys:admin', 'keys:read'])
  const more = await runCommand(RGRID, ['keys', 'create', 'x', '--scope', 'jobs:write'], { env: { ...env, RGRID_API_KEY: key } })
  assert.deepEqual([more.code, more.stdout], [4, ''])
  assert.match(more.stderr, /a key may do no more than who makes it/)
  for (const [args, said] of [
    [['create'], /takes one name/],
    [['create', 'x'], /say what the key may do: --scope/],
    [['create', 'x', '--scope', 'all'], /--scope all: it is one of \*, project:read/],
    [['create', 'x', '--scope', '*', '--environment', 'prod'], /--environment prod: it is live or test/],
    [['create', 'x', '--scope', '*', '--expires', 'soon'], /--expires: "soon" is no time/],
    [['create', 'x', '--scope', '*', '--overlap', '1d'], /--overlap does not go with rgrid keys create/],
    [['rotate'], /takes one key/],
    [['revoke', 'rgrid_live_00000000'], /no key of the project begins with/],
    [['list', 'x'], /takes no argument/],
    [['show', 'x'], /does not know "show"; it knows list, create, rotate, revoke/],
  ] as const) {
    const { code, stdout, stderr } = await rgrid('keys', ...args)
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
    assert.match(stderr, said)
  }
})

test('a whole key as an argument is refused and repeated nowhere', async () => {
  for (const args of [
    ['keys', 'revoke', gateway.key],
    ['keys', 'rotate', gateway.key],
    ['keys', gateway.key],
    ['init', gateway.key],
    ['doctor', gateway.key],
  ]) {
    const { code, stdout, stderr } = await rgrid(...args)
    assert.equal(code, 2)
    assert.ok(!(stdout + stderr).includes(gateway.key.slice(20)), 'the key is in what was said')
  }
  assert.equal(await statusWith(gateway.key), 200)
})
