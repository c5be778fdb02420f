import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import Docker from 'dockerode'
import { StepError } from '../../../node-runner/step-error.ts'
import { createImages } from '../../../node-runner/steps/image.ts'

/** A registry, as far as a pull gets when it does not succeed: it answers `/v2/`, and manifests as the test says. */
let registry: Server
let host: string
let manifest: (request: IncomingMessage, response: ServerResponse) => void
let asked = 0

before(async () => {
  registry = createServer((request, response) => {
    if (request.url === '/v2/') return void response.writeHead(200, { 'docker-distribution-api-version': 'registry/2.0' }).end('{}')
    asked++
    manifest(request, response)
  })
  registry.listen(0, '127.0.0.1')
  await once(registry, 'listening')
  host = `127.0.0.1:${(registry.address() as AddressInfo).port}`
})
after(() => {
  registry.closeAllConnections()
  registry.close()
})

const notes: string[] = []
const record = { pulled: async (reference: string) => void notes.push(reference), used: async () => undefined }
const refuse = (status: number, code: string) => (_: IncomingMessage, response: ServerResponse) =>
  void response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] }))

test('an image that the registry does not know is a permanent fault, asked for once', async () => {
  manifest = refuse(404, 'MANIFEST_UNKNOWN')
  await assert.rejects(createImages(new Docker(), record).ensure(`${host}/none:1`, AbortSignal.timeout(30_000)), (error: StepError) => {
    assert.ok(error instanceof StepError)
    assert.deepEqual([error.attemptCause, error.transient], ['image', false])
    assert.match(error.message, /none:1 cannot be pulled/)
    return true
  })
  assert.deepEqual(notes, [])
})

test('a cancel ends the waiting for a pull at once, for the one that is cancelled; attempts share a pull, and a later one may start anew', async () => {
  const requests: IncomingMessage[] = []
  let heard = Promise.withResolvers<IncomingMessage>()
  manifest = (request) => {
    requests.push(request)
    heard.resolve(request)
  }
  const images = createImages(new Docker(), record)
  const [first, second] = [new AbortController(), new AbortController()]
  const pulls = [first, second].map((stop) => images.ensure(`${host}/slow:1`, stop.signal))
  await heard.promise
  first.abort(new Error('cancelled'))
  await assert.rejects(pulls[0] as Promise<unknown>, /cancelled/)
  assert.deepEqual([...images.wanted()], [`${host}/slow:1`])
  second.abort(new Error('cancelled too'))
  await assert.rejects(pulls[1] as Promise<unknown>, /cancelled too/)
  assert.equal(requests.length, 1, 'both shared one pull')
  heard = Promise.withResolvers()
  const third = new AbortController()
  const again = images.ensure(`${host}/slow:1`, third.signal)
  await heard.promise
  third.abort(new Error('enough'))
  await assert.rejects(again, /enough/)
  assert.equal(images.wanted().size, 0)
  assert.ok(asked > 0)
})
