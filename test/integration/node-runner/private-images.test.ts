import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import Docker from 'dockerode'
import { pino } from 'pino'
import { openImageRecord } from '../../../node-runner/image/record.ts'
import { StepError } from '../../../node-runner/step-error.ts'
import { createImages, type RegistryLogin } from '../../../node-runner/steps/image.ts'
import { runCommand } from '../../harness/platform.ts'
import { type Registry, startRegistry } from '../../harness/registry.ts'
import { tinyImage } from '../../harness/registry-image.ts'

const docker = new Docker()
const log = pino({ level: 'silent' })
const PASSWORD = 'a-password-that-nobody-reads'
const dir = mkdtempSync(join(tmpdir(), 'rgrid-private-images-'))
const pulled: string[] = []
let registry: Registry
let login: RegistryLogin
before(async () => {
  registry = await startRegistry()
  login = { server: registry.host, username: 'robot', password: PASSWORD }
})
after(async () => {
  for (const reference of pulled) await runCommand('docker', ['rmi', '-f', reference])
  await registry.close()
  rmSync(dir, { recursive: true })
})

const patience = () => AbortSignal.timeout(60_000)
const runner = async () => createImages(docker, await openImageRecord(dir, log, () => 1))
const isRefused = (error: StepError) => error instanceof StepError && error.attemptCause === 'image' && !error.transient && !error.message.includes(PASSWORD)

function serve(repository: string) {
  const image = tinyImage()
  const reference = registry.serve(repository, '1', image)
  pulled.push(reference)
  return { image, reference }
}

test('a private image is pulled with the credentials, and given afterwards only to who has them too, also after a restart', async () => {
  const { image, reference } = serve('private')
  registry.protect('private', login)
  const images = await runner()
  await assert.rejects(images.ensure(reference, patience()), isRefused)
  assert.equal((await images.ensure(reference, patience(), login)).id, image.id)
  const layers = registry.layerRequests('private')
  for (const again of [images, await runner()]) {
    await assert.rejects(again.ensure(reference, patience()), isRefused, 'nobody else')
    await assert.rejects(again.ensure(image.id.slice(7, 19), patience()), StepError, 'nor by its id')
    await assert.rejects(again.ensure(reference, patience(), { ...login, password: 'a-wrong-one' }), isRefused)
    assert.equal((await again.ensure(reference, patience(), login)).id, image.id)
  }
  assert.equal(registry.layerRequests('private'), layers, 'it is not downloaded again')
  for (const file of readdirSync(dir)) assert.ok(!readFileSync(join(dir, file), 'utf8').includes(PASSWORD), file)
})

test('an image that its registry gives to anybody is anybody’s, though credentials brought it', async () => {
  const open = await startRegistry()
  try {
    const image = tinyImage()
    const reference = open.serve('public', '1', image)
    pulled.push(reference)
    const images = await runner()
    await images.ensure(reference, patience(), { ...login, server: open.host })
    assert.equal((await images.ensure(reference, patience())).id, image.id)
    const asked = open.answers.length
    await images.ensure(reference, patience())
    assert.equal(open.answers.length, asked, 'the registry is not asked again')
  } finally {
    await open.close()
  }
})

test('a private image whose pull nobody waited for any more is private all the same', async () => {
  const { image, reference } = serve('left')
  registry.protect('left', login)
  const held = registry.hold('left')
  const stop = new AbortController()
  const pull = (await runner()).ensure(reference, stop.signal, login)
  await held.reached
  stop.abort(new Error('cancelled'))
  await assert.rejects(pull, /cancelled/)
  held.release()
  // What an engine does that ends the pull by itself.
  await createImages(docker, { pulling: async () => undefined, pulled: async () => undefined, used: async () => undefined, isPrivate: () => false }).ensure(
    reference,
    patience(),
    login,
  )
  const again = await runner()
  await assert.rejects(again.ensure(reference, patience()), isRefused)
  assert.equal((await again.ensure(reference, patience(), login)).id, image.id)
})
