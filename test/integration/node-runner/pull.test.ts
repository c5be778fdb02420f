import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import Docker from 'dockerode'
import { StepError } from '../../../node-runner/step-error.ts'
import { createImages } from '../../../node-runner/steps/image.ts'
import { runCommand } from '../../harness/platform.ts'
import { type Registry, startRegistry } from '../../harness/registry.ts'
import { tinyImage } from '../../harness/registry-image.ts'

const docker = new Docker()
const pulled: string[] = []
let registry: Registry
let noted: string[] = []

before(async () => {
  registry = await startRegistry()
})
beforeEach(() => {
  noted = []
  registry.mend()
})
after(async () => {
  for (const reference of pulled) await runCommand('docker', ['rmi', '-f', reference])
  await registry.close()
})

const record = {
  pulling: async () => undefined,
  pulled: async (reference: string) => void noted.push(reference),
  used: async (id: string) => void noted.push(id),
  isPrivate: () => false,
}
const images = () => createImages(docker, record)
const patience = () => AbortSignal.timeout(60_000)

function serve(repository: string) {
  const image = tinyImage()
  const reference = registry.serve(repository, '1', image)
  pulled.push(reference)
  return { image, reference }
}

const isFault = (transient: boolean, text: RegExp) => (error: StepError) => {
  assert.ok(error instanceof StepError)
  assert.deepEqual([error.attemptCause, error.transient], ['image', transient])
  assert.match(error.message, text)
  return true
}

test('an image is pulled once, known by its digest, and noted; after that it is there', async () => {
  const { image, reference } = serve('good')
  const all = images()
  const [first, second] = await Promise.all([all.ensure(reference, patience()), all.ensure(reference, patience())])
  assert.deepEqual(first, { id: image.id, digest: `${reference.replace(/:1$/, '')}@${image.digest}` })
  assert.deepEqual(second, first)
  assert.equal(registry.layerRequests('good'), 1)
  assert.ok(noted.includes(reference))
  await all.ensure(reference, patience())
  assert.equal(registry.layerRequests('good'), 1)
  assert.ok(noted.includes(image.id), 'its use is noted')
})

test('what the registry does not know, or does not give, is a permanent fault', async () => {
  await assert.rejects(images().ensure(`${registry.host}/none:1`, patience()), isFault(false, /none:1 cannot be pulled/))
  const { reference } = serve('closed')
  registry.fail('closed', { at: 'manifest', with: { status: 403, code: 'DENIED', message: 'requested access to the resource is denied' } })
  await assert.rejects(images().ensure(reference, patience()), isFault(false, /denied/))
  assert.deepEqual(noted, [])
})

test('trouble that passes is waited out within the step', async () => {
  const { image, reference } = serve('shaky')
  registry.fail('shaky', { at: 'manifest', times: 2, with: { status: 500, code: 'UNKNOWN', message: 'unknown error' } })
  assert.equal((await images().ensure(reference, patience())).id, image.id)
})

test('a cancel ends the waiting at once, for the one that is cancelled; a later attempt gets the image', async () => {
  const { image, reference } = serve('slow')
  const held = registry.hold('slow')
  const all = images()
  const [first, second] = [new AbortController(), new AbortController()]
  const pulls = [first, second].map((stop) => all.ensure(reference, stop.signal))
  await held.reached
  first.abort(new Error('cancelled'))
  await assert.rejects(pulls[0] as Promise<unknown>, /cancelled/)
  assert.deepEqual([...all.wanted()], [reference], 'the other one still waits')
  second.abort(new Error('cancelled too'))
  await assert.rejects(pulls[1] as Promise<unknown>, /cancelled too/)
  assert.equal(all.wanted().size, 0)
  // Engine 20.10 goes on with the download by itself.
  held.release()
  assert.equal((await all.ensure(reference, patience())).id, image.id)
})
