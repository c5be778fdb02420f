import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { parse } from 'yaml'
import type { MeView } from '#core/account-api.ts'
import { createLog } from '#core/service/log.ts'
import { signInByBrowser } from '../../../cli/sign-in/code-flow.ts'
import { parseOidcConfig } from '../../../gateway/oidc/config.ts'
import { createOidc, type Oidc } from '../../../gateway/oidc/oidc.ts'
import { browse } from '../../harness/browser.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { type OpenidProvider, startOpenidProvider } from '../../harness/openid-provider.ts'
import { runCommand } from '../../harness/platform.ts'
import { runOnTerminal } from '../../harness/terminal.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')

let provider: OpenidProvider
let oidc: Oidc
let gateway: TestGateway
let url: string
let home: string
let people = 0

before(async () => {
  provider = await startOpenidProvider()
  oidc = createOidc(parseOidcConfig([provider.entry], 'the test'), { log: createLog('test', 'silent') })
  gateway = await startGateway({ oidc })
  url = await gateway.listen()
})
after(async () => {
  await gateway?.stop()
  await oidc?.stop()
  await provider?.stop()
})
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'rgrid-init-'))
})
afterEach(() => rmSync(home, { recursive: true }))

const surroundings = () => ({ HOME: home, RGRID_API_KEY: '', RGRID_API_URL: '', DISPLAY: '', WAYLAND_DISPLAY: '', NO_COLOR: '1' })

/** Opens the first address that is shown, once, as this person. */
function signsIn(login: string) {
  let [heard, opened] = ['', false]
  return (text: string) => {
    heard += text
    const address = /^ {2}(http\S+)\r?\n/m.exec(heard)?.[1] ?? /or open (http\S+) and/.exec(heard)?.[1]
    if (opened || address === undefined) return
    opened = true
    void browse(address, { login, password: 'x' })
  }
}

/** Runs it in an empty home, without a terminal. */
function init(login: string, args: readonly string[] = [], stdin = '') {
  return runCommand(RGRID, ['init', '--url', url, ...args], { cwd: home, stdin, env: surroundings(), onChunk: signsIn(login) })
}

/** The same on a terminal: each answer is typed when its question, which ends so, is there. */
async function initOnTerminal(login: string, args: readonly string[], answers: readonly (readonly [question: RegExp, typed: string])[]) {
  const left = [...answers]
  const signIn = signsIn(login)
  const result = await runOnTerminal([RGRID, 'init', '--url', url, ...args], {
    cwd: home,
    env: surroundings(),
    type(shown) {
      signIn(shown)
      return left[0]?.[0].test(shown) ? left.shift()?.[1] : undefined
    },
  })
  assert.deepEqual(left, [], result.text)
  return result
}

/** Somebody whose tokens name no organisation, and nobody was before. */
const newcomer = () => `alone-${people++}`

/** Somebody who has signed in, and what they do over the API; `accountId` is the one chosen, or that of their token. */
async function person(login: string, accountId?: string) {
  const token = await signInByBrowser(provider.login, (address) => void browse(address, { login, password: 'x' }))
  const headers = { authorization: `Bearer ${token}`, ...(accountId === undefined ? {} : { 'x-rgrid-account': accountId }) }
  const ask = async <T>(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, payload?: object): Promise<T> => {
    const answer = await gateway.app.inject({ method, url: path, headers, ...(payload ? { payload } : {}) })
    assert.ok(answer.statusCode < 300, answer.body)
    return answer.json<T>()
  }
  return {
    login,
    ask,
    me: await ask<MeView>('GET', '/v1/me'),
    projects: async () => (await ask<{ items: { slug: string }[] }>('GET', '/v1/projects')).items.map(({ slug }) => slug),
    keys: async (slug: string) => (await ask<{ items: { name: string }[] }>('GET', `/v1/projects/${slug}/keys`)).items.map(({ name }) => name),
  }
}

/** Somebody with an account of this name that has these projects. */
async function ownerOf(name: string, ...slugs: string[]) {
  const owner = await person(newcomer())
  await owner.ask('PATCH', '/v1/account', { name })
  for (const slug of slugs) await owner.ask('POST', '/v1/projects', { slug })
  return owner
}

/** Somebody who has signed in before and was given a role by that owner. */
async function guestOf(owner: Awaited<ReturnType<typeof person>>, role: string, path = '/v1/account/members') {
  const guest = await person(newcomer())
  await owner.ask('PUT', `${path}/${guest.me.id}`, { role })
  return guest.login
}

const credentials = () => join(home, '.rgrid', 'credentials')

/** What was kept is a key that works, in this project; nothing of a token was kept. */
async function assertKept(slug: string, accountId?: string): Promise<void> {
  const { apiUrl, apiKey, ...more } = JSON.parse(readFileSync(credentials(), 'utf8'))
  assert.deepEqual([apiUrl, more, statSync(credentials()).mode & 0o777], [url, {}, 0o600])
  const { project, account } = (await gateway.call('GET', '/v1/me', undefined, { authorization: `Bearer ${apiKey}` })).json<MeView>()
  assert.equal(project, slug)
  if (accountId !== undefined) assert.equal(account.id, accountId)
  assert.equal(parse(readFileSync(join(home, '.rgrid', 'config.yaml'), 'utf8')).project, slug)
}
const assertNothingKept = () => assert.ok(!existsSync(join(home, '.rgrid')))

for (const [what, args] of [
  ['through the browser', []],
  ['with a code', ['--device']],
] as const) {
  test(`an owner signs in ${what}: the key is kept, and said no more than the token`, async () => {
    const owner = await ownerOf(`Ours, ${what}`, 'alpha')
    const { code, stdout, stderr } = await init(owner.login, args)
    assert.equal(code, 0, stderr)
    assert.match(stderr, new RegExp(`signed in as ${owner.login}@example.com\n.*for project alpha of Ours, ${what}\\.`, 's'))
    await assertKept('alpha', owner.me.account.id)
    assert.match((await owner.keys('alpha')).join(), /rgrid init on /)
    assert.doesNotMatch(stdout + stderr, /eyJ[\w-]+\.eyJ|rgrid_live_/)
  })
}

test('a new person is told the command that makes a project, and it does', async () => {
  const login = newcomer()
  const none = await init(login)
  assert.equal(none.code, 2)
  assertNothingKept()
  const command = /^rgrid: .* has no project yet; to make the first one, type: (rgrid init .*)$/m.exec(none.stderr)?.[1] ?? ''
  assert.equal(command, `rgrid init --url ${url} --project default`)
  const path = `${join(RGRID, '..')}:${process.env.PATH}`
  const made = await runCommand('sh', ['-c', command], { cwd: home, env: { ...surroundings(), PATH: path }, onChunk: signsIn(login) })
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stderr, /made the project default in /)
  await assertKept('default')
  // One key, and it is the one that was kept.
  assert.deepEqual(await (await person(login)).keys('default'), ['first'])
})

test('a new person on a terminal names the first project, and is asked again until it can be a name', async () => {
  const login = newcomer()
  const { code, text } = await initOnTerminal(
    login,
    [],
    [
      [/has no project yet; you may make the first one, and Ctrl-C makes none\. Its name, such as "default": $/, '\r'],
      [/Its name, such as "default": $/, 'My Project\r'],
      [/A name is a–z, .* Its name, such as "default": $/s, 'mime\x7f\x7fne\r'],
    ],
  )
  assert.equal(code, 0, text)
  // Whoever corrects what they type still sees what was asked: the line is written anew.
  assert.match(text, /neither first nor last\. Its name, such as "default": mim/)
  await assertKept('mine')
})

test('Ctrl-C at the question, and at the sign-in, makes and keeps nothing; the next time goes on', async () => {
  const login = newcomer()
  const atQuestion = await initOnTerminal(login, [], [[/Its name, such as "default": $/, '\x03']])
  assert.equal(atQuestion.code, 130, atQuestion.text)
  const atSignIn = await runOnTerminal([RGRID, 'init', '--url', url], {
    cwd: home,
    env: surroundings(),
    type: (shown) => (/ {2}http\S+\r\n/.test(shown) ? '\x03' : undefined),
  })
  assert.equal(atSignIn.code, 130, atSignIn.text)
  assertNothingKept()
  assert.deepEqual(await (await person(login)).projects(), [])
  assert.equal((await init(login, ['--project', 'later'])).code, 0)
  await assertKept('later')
})

test('who was given a role in another account chooses it by name or id, or when asked', async () => {
  const owner = await ownerOf('Acme Ltd', 'pipeline')
  const guest = await guestOf(owner, 'developer')
  const unsaid = await init(guest)
  assert.equal(unsaid.code, 2)
  assert.match(unsaid.stderr, new RegExp(`name one with --account: ${guest} \\(your own, acc_\\w+\\), Acme Ltd \\(developer, ${owner.me.account.id}\\)\n`))
  assertNothingKept()
  for (const account of ['Acme Ltd', owner.me.account.id]) {
    const { code, stderr } = await init(guest, ['--account', account])
    assert.equal(code, 0, stderr)
    await assertKept('pipeline', owner.me.account.id)
  }
  const asked = await initOnTerminal(
    guest,
    [],
    [
      [/Which account\? \(alone-\d+ \(your own\), Acme Ltd \(developer\)\) $/, 'Acne\r'],
      [/there is no account "Acne"\. Which account\? .* $/, 'Acme Ltd\r'],
    ],
  )
  assert.equal(asked.code, 0, asked.text)
  await assertKept('pipeline', owner.me.account.id)
})

test('in an account of their own beside others, the command that makes a project names the account', async () => {
  const guest = await guestOf(await ownerOf('Beside Ltd', 'pipeline'), 'developer')
  const own = (await person(guest)).me.account
  const { code, stderr } = await init(guest, ['--account', own.name, '--device'])
  assert.equal(code, 2)
  assert.ok(stderr.includes(`type: rgrid init --url ${url} --device --account ${own.id} --project default\n`), stderr)
})

test('of two accounts of one name one is named by its id', async () => {
  const [first, second] = [await ownerOf('Twins', 'one'), await ownerOf('Twins', 'two')]
  const guest = await guestOf(first, 'developer')
  await second.ask('PUT', `/v1/account/members/${(await person(guest)).me.id}`, { role: 'developer' })
  const byName = await init(guest, ['--account', 'Twins'])
  assert.equal(byName.code, 2)
  assert.match(byName.stderr, /--account: several have the name "Twins"; name one by its id; there is: .*Twins \(developer, acc_/)
  assert.equal((await init(guest, ['--account', second.me.account.id])).code, 0)
  await assertKept('two', second.me.account.id)
})

test('a member of a single project gets a key there, and makes none elsewhere', async () => {
  const owner = await ownerOf('Single Ltd', 'ours', 'theirs')
  const guest = await guestOf(owner, 'developer', '/v1/projects/ours/members')
  const other = await init(guest, ['--account', 'Single Ltd', '--project', 'theirs'])
  assert.equal(other.code, 3)
  assert.match(other.stderr, /Single Ltd has no project "theirs" that you may use; there is: ours; as a member of single projects you may not make one: ask/)
  assertNothingKept()
  assert.equal((await init(guest, ['--account', 'Single Ltd'])).code, 0)
  await assertKept('ours', owner.me.account.id)
})

test('a viewer may make neither a project nor a key, and is told whom to ask', async () => {
  const owner = await ownerOf('Viewed Ltd')
  const guest = await guestOf(owner, 'viewer')
  for (const args of [[], ['--project', 'new']]) {
    const none = await init(guest, ['--account', 'Viewed Ltd', ...args])
    assert.equal(none.code, 3)
    assert.match(none.stderr, /Viewed Ltd has no project .*; as viewer you may not make one: ask an owner or admin of it/)
  }
  assert.deepEqual(await owner.projects(), [])
  await owner.ask('POST', '/v1/projects', { slug: 'alpha' })
  const noKey = await init(guest, ['--account', 'Viewed Ltd'])
  assert.equal(noKey.code, 4)
  assert.match(noKey.stderr, /you may not make a key in the project alpha: your role does not allow "keys:admin"; ask an owner or admin of Viewed Ltd/)
  assertNothingKept()
})

test('of several projects one must be named; one that is missing is made, on a terminal when they agree', async () => {
  const owner = await ownerOf('Several Ltd', 'alpha', 'beta')
  const unsaid = await init(owner.login)
  assert.equal(unsaid.code, 2)
  assert.match(unsaid.stderr, /name one with --project: alpha, beta/)
  const slip = await initOnTerminal(
    owner.login,
    ['--project', 'beat'],
    [
      [/Several Ltd has no project "beat"; there is: alpha, beta\. Make it\? \(yes or no\) $/, 'no\r'],
      [/Which project\? \(alpha, beta\) $/, 'beta\r'],
    ],
  )
  assert.equal(slip.code, 0, slip.text)
  await assertKept('beta')
  assert.deepEqual(await owner.projects(), ['alpha', 'beta'])
  const wrong = await init(owner.login, ['--project', 'No Slug'])
  assert.equal(wrong.code, 2)
  assert.match(wrong.stderr, /--project: "No Slug" cannot name a project/)
  const made = await init(owner.login, ['--project', 'gamma'])
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stderr, /config\.yaml names the project beta, which this key is not for/)
  assert.deepEqual(await owner.projects(), ['alpha', 'beta', 'gamma'])
})

test('a token that names an organisation is of its account, with the role it says', async () => {
  const chief = await person('alice')
  await chief.ask('POST', '/v1/projects', { slug: 'grand' })
  const { code, stderr } = await init('bob')
  assert.equal(code, 0, stderr)
  assert.match(stderr, /for project grand of Acme\./)
  await assertKept('grand', chief.me.account.id)
})

test('who was taken out of the organisation that the token names gets into another account by its id', async () => {
  const owner = await ownerOf('Refuge Ltd', 'alpha')
  const outcast = await person('outcast')
  const chief = await person('alice')
  await owner.ask('PUT', `/v1/account/members/${outcast.me.id}`, { role: 'developer' })
  await chief.ask('DELETE', `/v1/account/members/${outcast.me.id}`)
  const out = await init('outcast')
  assert.equal(out.code, 4)
  assert.match(out.stderr, /you have no role here .* name another account of yours by its id: --account acc_…/)
  assert.equal((await init('outcast', ['--account', owner.me.account.id])).code, 0)
  await assertKept('alpha', owner.me.account.id)
})

test('an account, and an issuer, that is not there is said with those that are', async () => {
  const owner = await ownerOf('There Ltd', 'alpha')
  const account = await init(owner.login, ['--account', 'Elsewhere'])
  assert.equal(account.code, 2)
  assert.match(account.stderr, /--account: there is no account "Elsewhere"; there is: There Ltd \(your own, acc_\w+\)\n/)
  const issuer = await init(owner.login, ['--issuer', 'https://evil.example'])
  assert.equal(issuer.code, 2)
  assert.match(issuer.stderr, /--issuer: there is no issuer "https:\/\/evil.example"/)
  assertNothingKept()
})

test('a key on standard input is taken without signing in, if it is for what was named', async () => {
  for (const [args, says] of [
    [['--project', 'other'], /--project: the key is for the project default\n/],
    [['--account', 'acc_none'], /--account: the key is of the account default \(acc_\w+\)\n/],
  ] as const) {
    const { code, stderr } = await init('nobody', args, `${gateway.key}\n`)
    assert.equal(code, 2)
    assert.match(stderr, says)
  }
  assertNothingKept()
  const { code, stderr } = await init('nobody', ['--project', 'default'], `${gateway.key}\n`)
  assert.equal(code, 0, stderr)
  assert.doesNotMatch(stderr, /signed in/)
  await assertKept('default')
})

test('--with-key asks for a key all the same', async () => {
  const { code, stderr } = await init('nobody', ['--with-key'])
  assert.equal(code, 2)
  assert.match(stderr, /no answer to "API key:"/)
})
