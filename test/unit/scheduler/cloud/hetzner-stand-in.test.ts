import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { createManualClock } from '../../../harness/clock.ts'
import { parseSelector } from '../../../harness/hetzner/labels.ts'
import { type HetznerStandIn, startHetzner } from '../../../harness/hetzner/stand-in.ts'

// It stands still: a call would come back within the second.
const clock = createManualClock()
let standIn: HetznerStandIn
before(async () => {
  standIn = await startHetzner({ limits: { servers: 3, addresses: 5, groups: 1 }, createMs: 60_000, clock })
})
beforeEach(() => {
  standIn.world.servers.clear()
  standIn.world.addresses.clear()
})
after(() => standIn.stop())

interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was answered
  body: any
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const response = await fetch(`${standIn.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${standIn.token}`, ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
}

const ORDER = { name: 'web', server_type: 'cx23', image: 'debian-13', location: 'fsn1' }

const REFUSED: [string, object | string, number, string, string | undefined][] = [
  ['bad JSON', '{"name": ', 400, 'json_error', undefined],
  ['no name', { ...ORDER, name: undefined }, 422, 'invalid_input', 'name'],
  ['a field that there is not', { ...ORDER, flavour: 'sweet' }, 422, 'invalid_input', 'flavour'],
  ['a data centre', { ...ORDER, datacenter: 'fsn1-dc14' }, 422, 'invalid_input', 'datacenter'],
  ['a field of another form', { ...ORDER, start_after_create: 'yes' }, 422, 'invalid_input', 'start_after_create'],
  ['a field within a field', { ...ORDER, public_net: { ipv5: true } }, 422, 'invalid_input', 'public_net.ipv5'],
  ['a name that is no host', { ...ORDER, name: 'web_1' }, 422, 'invalid_input', 'name'],
  ['a name that ends in a hyphen', { ...ORDER, name: 'web-' }, 422, 'invalid_input', 'name'],
  ['a label of 64 characters', { ...ORDER, name: 'a'.repeat(64) }, 422, 'invalid_input', 'name'],
  ['an unknown type', { ...ORDER, server_type: 'cx99' }, 422, 'invalid_input', 'server_type'],
  ['an unknown location', { ...ORDER, location: 'mun1' }, 422, 'invalid_input', 'location'],
  ['a type that is not there', { ...ORDER, location: 'ash' }, 422, 'invalid_input', undefined],
  ['a withdrawn type', { ...ORDER, server_type: 'cx22' }, 422, 'invalid_server_type', undefined],
  ['an unknown image', { ...ORDER, image: 'debian-3' }, 422, 'invalid_input', 'image'],
  ['an image of another architecture', { ...ORDER, server_type: 'cax11', image: 400000001 }, 422, 'invalid_input', 'image'],
  ['an unknown network', { ...ORDER, networks: [7] }, 422, 'invalid_input', 'networks'],
  ['an unknown firewall', { ...ORDER, firewalls: [{ firewall: 7 }] }, 422, 'invalid_input', 'firewalls'],
  ['an unknown key', { ...ORDER, ssh_keys: ['ops'] }, 422, 'invalid_input', 'ssh_keys'],
  ['an unknown group', { ...ORDER, placement_group: 7 }, 404, 'not_found', undefined],
  ['user data that is too long', { ...ORDER, user_data: 'é'.repeat(16_385) }, 422, 'invalid_input', 'user_data'],
  ['a wrong label key', { ...ORDER, labels: { '-a': 'x' } }, 422, 'invalid_input', 'labels'],
  ['a reserved label', { ...ORDER, labels: { 'hetzner.cloud/a': 'x' } }, 422, 'invalid_input', 'labels'],
  ['a wrong label value', { ...ORDER, labels: { a: 'x y' } }, 422, 'invalid_input', 'labels'],
  ['a label value that is too long', { ...ORDER, labels: { a: 'x'.repeat(64) } }, 422, 'invalid_input', 'labels'],
  ['a label that is no text', { ...ORDER, labels: { a: 1 } }, 422, 'invalid_input', 'labels.a'],
  ['no network at all', { ...ORDER, public_net: { enable_ipv4: false, enable_ipv6: false } }, 422, 'invalid_input', 'public_net'],
]

for (const [what, body, status, code, field] of REFUSED) {
  test(`an order with ${what} is refused, and nothing is made`, async () => {
    const answer = await call('POST', '/servers', body)
    assert.deepEqual([answer.status, answer.body.error.code, answer.body.error.details?.fields?.[0].name], [status, code, field])
    assert.equal(standIn.world.servers.size, 0)
  })
}

test('without its token nobody gets in; what there is not is not found', async () => {
  for (const authorization of ['', 'Bearer wrong', standIn.token]) {
    const { status, body } = await call('GET', '/servers', undefined, { authorization })
    assert.deepEqual([status, body.error.code], [401, 'unauthorized'])
  }
  assert.equal((await call('GET', '/nonsense')).status, 404)
  assert.equal((await call('PUT', '/locations')).status, 405)
  assert.equal((await call('GET', '/servers/1')).body.error.code, 'not_found')
  assert.deepEqual([(await call('GET', '/datacenters')).status, (await call('GET', '/actions')).status], [410, 410])
})

test('names are used once; a server is locked while it is made; limits are limits', async () => {
  const { status, body } = await call('POST', '/servers', ORDER)
  assert.equal(status, 201)
  const { server, action, next_actions } = body
  assert.deepEqual(
    [server.status, server.locked, action.command, action.status, next_actions[0].command],
    ['initializing', true, 'create_server', 'running', 'start_server'],
  )
  assert.equal((await call('POST', '/servers', ORDER)).body.error.code, 'uniqueness_error')
  assert.equal((await call('DELETE', `/servers/${server.id}`)).status, 423)
  await call('POST', '/servers', { ...ORDER, name: 'web2' })
  const limited = await call('POST', '/servers', { ...ORDER, name: 'web3' })
  assert.deepEqual([limited.status, limited.body.error.details], [403, { limits: [{ name: 'primary_ip_limit' }] }])
  assert.equal((await call('POST', '/servers', { ...ORDER, name: 'web3', public_net: { enable_ipv4: false } })).status, 201)
  const full = await call('POST', '/servers', { ...ORDER, name: 'web4', public_net: { enable_ipv4: false } })
  assert.deepEqual(full.body.error.details, { limits: [{ name: 'server_limit' }] })
})

test('label selectors, all of them', () => {
  const things = [{ env: 'prod', app: 'web' }, { env: 'dev' }, { app: 'db', 'example.com/team': 'a' }, { flag: '' }] as Record<string, string>[]
  const table: [string, number[]][] = [
    ['env=prod', [0]],
    ['env==prod', [0]],
    ['env!=prod', [1, 2, 3]],
    ['env', [0, 1]],
    ['!env', [2, 3]],
    ['env in (prod,dev)', [0, 1]],
    ['env notin (prod, dev)', [2, 3]],
    ['env in (prod),app=web', [0]],
    ['env=dev,!app', [1]],
    ['app,env notin (dev)', [0, 2]],
    ['example.com/team=a', [2]],
    ['flag=', [3]],
  ]
  for (const [selector, expected] of table) {
    const fits = parseSelector(selector)
    assert.deepEqual(
      [...things.keys()].filter((i) => fits(things[i] as Record<string, string>)),
      expected,
      selector,
    )
  }
  for (const wrong of ['', 'a=b=c', 'a in b', '=x', 'a,,b', '-a=1', 'a=-', 'a in (x y)']) assert.throws(() => parseSelector(wrong), /label selector/, wrong)
})

test('pages: 25 unless asked, 50 at most, linked to each other', async () => {
  const first = await call('GET', '/images?per_page=3&sort=id:asc')
  assert.deepEqual(first.body.meta.pagination, { page: 1, per_page: 3, previous_page: null, next_page: 2, last_page: 3, total_entries: 7 })
  assert.match(first.headers.get('link') ?? '', /page=2.*rel="next".*page=3.*rel="last"/)
  const last = await call('GET', '/images?per_page=3&page=3&sort=id:asc')
  assert.deepEqual([last.body.images.length, last.body.meta.pagination.next_page], [1, null])
  assert.equal((await call('GET', '/images')).body.meta.pagination.per_page, 25)
  for (const query of ['per_page=51', 'per_page=0', 'page=0', 'page=x', 'sort=colour', 'sort=id:up', 'label_selector=a%3D%3D%3Db'])
    assert.equal((await call('GET', `/images?${query}`)).body.error?.code, 'invalid_input', query)
})

test('every answer says what is left; without any left the answer is 429', async () => {
  standIn.rate.leave(10)
  const { headers } = await call('GET', '/locations')
  assert.deepEqual([headers.get('ratelimit-limit'), headers.get('ratelimit-remaining')], ['3600', '9'])
  assert.equal(Number(headers.get('ratelimit-reset')) * 1000 - clock.now(), 3_591_000)
  standIn.rate.leave(0)
  const refused = await call('GET', '/locations', undefined, { authorization: 'Bearer wrong' })
  assert.deepEqual([refused.status, refused.body.error.code, refused.headers.get('ratelimit-remaining')], [429, 'rate_limit_exceeded', '0'])
  standIn.rate.leave(3600)
})
