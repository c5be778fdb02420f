import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { decodeProtectedHeader } from 'jose'
import { createLog } from '#core/service/log.ts'
import type { Login } from '#core/sign-in-api.ts'
import { signInByBrowser } from '../../../cli/sign-in/code-flow.ts'
import { signInByDevice } from '../../../cli/sign-in/device-flow.ts'
import { parseOidcConfig } from '../../../gateway/oidc/config.ts'
import { createOidc, type Oidc } from '../../../gateway/oidc/oidc.ts'
import { browse, type Page } from '../../harness/browser.ts'
import { type OpenidProvider, startOpenidProvider } from '../../harness/openid-provider.ts'

let provider: OpenidProvider
let oidc: Oidc
before(async () => {
  provider = await startOpenidProvider()
  oidc = oidcOf(provider.entry)
})
after(async () => {
  await oidc?.stop()
  await provider?.stop()
})

function oidcOf(entry: Record<string, unknown>): Oidc {
  return createOidc(parseOidcConfig([entry], 'the test'), { log: createLog('test', 'silent'), timing: { cooldownMs: 0, pauseMs: 0 } })
}

/** Signs in as a person in a browser would, and returns the access token. */
async function signIn(user: string, login: Login = provider.login): Promise<string> {
  let page: Promise<Page> | undefined
  const token = await signInByBrowser(login, (url) => {
    page = browse(url, { login: user, password: 'x' })
  })
  assert.match((await page)?.text ?? '', /Back to the terminal/)
  return token
}

test('what the gateway tells the command line is what the provider says of itself', async () => {
  assert.deepEqual(await oidc.logins(), [provider.login])
})

test('a token of the browser sign-in is verified and read', async () => {
  const { expiresAtMs, issuedAtMs, ...identity } = await oidc.verify(await signIn('alice'))
  assert.deepEqual(identity, {
    issuer: provider.issuer,
    subject: 'alice',
    email: 'alice@example.com',
    name: 'alice',
    organisation: { id: 'org_1', slug: 'acme', name: 'Acme', role: 'owner', isWithdrawn: false },
  })
  assert.equal(expiresAtMs - issuedAtMs, 300_000)
})

test('a token of the device sign-in is too', async () => {
  let page: Promise<Page> | undefined
  const token = await signInByDevice(provider.login, {
    show({ urlWithCode }) {
      page = browse(urlWithCode ?? '', { login: 'bob', password: 'x' })
    },
    // The pause is over when the person is done.
    sleep: async () => void (await page),
  })
  const { subject, organisation } = await oidc.verify(token)
  assert.equal(subject, 'bob')
  assert.equal(organisation?.role, 'developer')
})

test('a token of before a rotation and one of after it are both good', async () => {
  const old = await signIn('alice')
  await oidc.verify(old)
  const kid = await provider.rotate('add')
  const fresh = await signIn('alice')
  assert.equal(decodeProtectedHeader(fresh).kid, kid)
  assert.notEqual(decodeProtectedHeader(old).kid, kid)
  await oidc.verify(fresh)
  await oidc.verify(old)
})

test('when the old key is withdrawn its tokens are over once the new one is seen', async () => {
  const old = await signIn('alice')
  await oidc.verify(old)
  await provider.rotate('withdraw')
  await oidc.verify(await signIn('alice'))
  await assert.rejects(oidc.verify(old), { code: 'unauthenticated' })
})

test('a token for another service is refused', async () => {
  const token = await signIn('alice', { ...provider.login, audience: 'https://other.test' })
  await assert.rejects(oidc.verify(token), { code: 'unauthenticated' })
})

test('a token of another client is refused', async () => {
  const strict = oidcOf({ ...provider.entry, authorizedParties: ['another-app'] })
  await assert.rejects(strict.verify(await signIn('alice')), { code: 'unauthenticated' })
})

test('who cancels in the browser is told so in the terminal', async () => {
  let page: Promise<Page> | undefined
  const result = signInByBrowser(provider.login, (url) => {
    page = browse(url, {}, true)
  })
  await assert.rejects(result, { code: 'forbidden', message: 'the sign-in was refused, or cancelled in the browser' })
  assert.match((await page)?.text ?? '', /did not work/)
})

test('a code is worth nothing without the verifier, nor the answer to another request', async () => {
  const urls: string[] = []
  // Somebody who sees the address uses it for a sign-in with a challenge of their own.
  const stolen = signInByBrowser(provider.login, (url) => {
    urls.push(url)
    const changed = new URL(url)
    changed.searchParams.set('code_challenge', 'A'.repeat(43))
    void browse(changed.href, { login: 'mallory', password: 'x' })
  })
  await assert.rejects(stolen, { code: 'forbidden', message: /invalid_grant/ })
  const replayed = signInByBrowser(provider.login, (url) => {
    const changed = new URL(url)
    changed.searchParams.set('nonce', 'of-another')
    void browse(changed.href, { login: 'mallory', password: 'x' })
  })
  await assert.rejects(replayed, { code: 'forbidden', message: /belongs to another sign-in/ })
  for (const name of ['state', 'nonce', 'code_challenge']) assert.ok((new URL(urls[0] as string).searchParams.get(name)?.length ?? 0) >= 43)
})
