import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createTestDatabase } from '../../harness/database.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { type Issuer, oidcFor, startIssuer } from '../../harness/issuer.ts'
import { startProcess } from '../../harness/process.ts'

let issuer: Issuer
const gateways: TestGateway[] = []
before(async () => {
  issuer = await startIssuer()
})
after(async () => {
  for (const gateway of gateways) await gateway.stop()
  await issuer.stop()
})

async function signInView(entry?: Record<string, unknown>) {
  const gateway = await startGateway(entry ? { oidc: oidcFor(issuer, entry).oidc } : {})
  gateways.push(gateway)
  return gateway.app.inject({ url: '/v1/auth' })
}

const login = { clientId: 'cli', scopes: ['openid'] }
const endpoints = { authorizationEndpoint: 'https://a.example/auth', tokenEndpoint: 'https://a.example/token' }

test('without issuers, and for those without a login, there is nowhere to sign in', async () => {
  for (const response of [await signInView(), await signInView({})]) {
    assert.equal(response.statusCode, 200)
    assert.deepEqual(response.json(), { issuers: [] })
  }
})

test('where to sign in is said without a credential', async () => {
  const response = await signInView({ login: { ...login, ...endpoints } })
  assert.equal(response.statusCode, 200)
  assert.deepEqual(response.json(), {
    issuers: [{ issuer: issuer.url, ...login, ...endpoints, deviceAuthorizationEndpoint: null, audience: issuer.audience }],
  })
})

test('an issuer that names no endpoints is 503', async () => {
  const response = await signInView({ login })
  assert.equal(response.statusCode, 503)
  assert.equal(response.json().code, 'unavailable')
})

test('a gateway reads RGRID_OIDC_FILE at its start, fetches the keys, and does not start with a faulty one', async (t) => {
  const database = await createTestDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'rgrid-oidc-'))
  const file = join(folder, 'oidc.json')
  const start = (entries: unknown) => {
    writeFileSync(file, JSON.stringify(entries))
    return startProcess('gateway', { RGRID_DATABASE_URL: database.gatewayUrl, RGRID_LISTEN: '127.0.0.1:0', RGRID_OIDC_FILE: file })
  }
  const faulty = start([{ issuer: 'http://a.example', algorithms: ['HS256'] }, { issuer: issuer.url }])
  assert.equal(await faulty.ended, 1)
  assert.match(faulty.output(), /\/0\/algorithms\/0: it must be one of RS256/)
  const asked = Promise.withResolvers<void>()
  issuer.answer = (_, response) => asked.resolve(void response.end('{"keys":[]}'))
  const gateway = start([{ issuer: issuer.url, audiences: ['rgrid'] }])
  t.after(() => gateway.kill())
  await gateway.logged(/"services":\["oidc","http"\]/)
  await asked.promise
  assert.equal(await gateway.stop(), 0)
  rmSync(folder, { recursive: true })
  await database.drop()
})
