import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { createLog } from '#core/service/log.ts'
import { parseOidcConfig } from '../../../gateway/oidc/config.ts'
import { createOidc, type Oidc } from '../../../gateway/oidc/oidc.ts'
import { browse } from '../../harness/browser.ts'
import { type OpenidProvider, startOpenidProvider } from '../../harness/openid-provider.ts'
import { runCommand } from '../../harness/platform.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')
const KEY = `rgrid_live_00000000_${'k'.repeat(32)}`

let provider: OpenidProvider
let oidc: Oidc
let api: Server
let url: string
let slugs: string[]
let tokens: string[]
let made: { path: string; body: unknown }[]
let home: string

/** The three calls of the API that `rgrid init` makes: a token of the provider, or the key that was made, is asked for. */
before(async () => {
  provider = await startOpenidProvider()
  oidc = createOidc(parseOidcConfig([provider.entry], 'the test'), { log: createLog('test', 'silent') })
  api = createServer(async (request, response) => {
    const say = (status: number, document: unknown) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document))
    if (request.url === '/v1/auth') return void say(200, { issuers: await oidc.logins() })
    const bearer = /^Bearer (\S+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    const isPerson = await oidc.verify(bearer).then(
      () => tokens.push(bearer) > 0,
      () => false,
    )
    if (!isPerson && bearer !== KEY) return void say(401, { code: 'unauthenticated', detail: 'no' })
    if (request.method === 'GET' && /^\/v1\/projects(\?|$)/.test(request.url ?? ''))
      return void say(200, { items: slugs.map((slug) => ({ slug })), nextCursor: null })
    let body = ''
    for await (const chunk of request) body += chunk
    made.push({ path: request.url ?? '', body: JSON.parse(body) })
    if (!isPerson || !/^\/v1\/projects\/[a-z]+\/keys$/.test(request.url ?? '')) return void say(404, { code: 'not_found', detail: 'nothing here' })
    say(201, { id: 'key_1', key: KEY })
  })
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`
})
after(async () => {
  api?.closeAllConnections()
  await new Promise((resolve) => api.close(resolve))
  await oidc?.stop()
  await provider?.stop()
})
beforeEach(() => {
  slugs = ['alpha']
  tokens = []
  made = []
  home = mkdtempSync(join(tmpdir(), 'rgrid-init-'))
})
afterEach(() => rmSync(home, { recursive: true }))

/** Runs it in an empty home; whoever is asked to open an address signs in there as alice. */
function init(args: string[], stdin = '') {
  let opened = false
  let heard = ''
  return runCommand(RGRID, ['init', '--url', url, ...args], {
    cwd: home,
    stdin,
    env: { HOME: home, RGRID_API_KEY: '', RGRID_API_URL: '', DISPLAY: '', WAYLAND_DISPLAY: '' },
    onChunk(text) {
      heard += text
      const address = /^ {2}(http\S+)\n/m.exec(heard)?.[1] ?? /or open (http\S+) and/.exec(heard)?.[1]
      if (opened || address === undefined) return
      opened = true
      void browse(address, { login: 'alice', password: 'x' })
    },
  })
}

const credentials = () => join(home, '.rgrid', 'credentials')

for (const [what, args] of [
  ['through the browser', []],
  ['with a code', ['--device']],
] as const) {
  test(`signs in ${what} and keeps the key it made, and nowhere the token`, async () => {
    const { code, stdout, stderr } = await init([...args])
    assert.equal(code, 0, stderr)
    assert.equal(made.length, 1)
    assert.equal(made[0]?.path, '/v1/projects/alpha/keys')
    assert.match(JSON.stringify(made[0]?.body), /^{"name":"rgrid init on /)
    assert.deepEqual(JSON.parse(readFileSync(credentials(), 'utf8')), { apiUrl: url, apiKey: KEY })
    assert.equal(statSync(credentials()).mode & 0o777, 0o600)
    assert.match(readFileSync(join(home, '.rgrid', 'config.yaml'), 'utf8'), /project: alpha/)
    assert.ok(tokens.length > 0)
    for (const secret of [...tokens, KEY]) assert.ok(!(stdout + stderr).includes(secret))
  })
}

test('a key on standard input is taken without signing in', async () => {
  const { code, stderr } = await init([], `${KEY}\n`)
  assert.equal(code, 0, stderr)
  assert.deepEqual([made, tokens], [[], []])
  assert.equal(JSON.parse(readFileSync(credentials(), 'utf8')).apiKey, KEY)
})

test('of several projects one must be named, and --project does', async () => {
  slugs = ['alpha', 'beta']
  const { code, stderr } = await init([])
  assert.equal(code, 2)
  assert.match(stderr, /name one with --project: alpha, beta/)
  assert.ok(!existsSync(credentials()))
  assert.equal((await init(['--project', 'beta'])).code, 0)
  assert.equal(made[0]?.path, '/v1/projects/beta/keys')
})

test('without a project, and for an issuer that is not there, nothing is kept', async () => {
  slugs = []
  const none = await init([])
  assert.equal(none.code, 3)
  assert.match(none.stderr, /a member of no project/)
  const other = await init(['--issuer', 'https://evil.example'])
  assert.equal(other.code, 2)
  assert.match(other.stderr, /there is no issuer "https:\/\/evil.example"/)
  assert.ok(!existsSync(credentials()))
})

test('--with-key asks for a key all the same', async () => {
  const { code, stderr } = await init(['--with-key'])
  assert.equal(code, 2)
  assert.match(stderr, /no answer to "API key:"/)
})
