import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import Docker from 'dockerode'
import { pino } from 'pino'
import { collectImages, type ImageCollectorOptions, imageDiskPercent } from '../../../node-runner/image/collector.ts'
import { type ImageRecord, openImageRecord } from '../../../node-runner/image/record.ts'
import { runCommand } from '../../harness/platform.ts'

const docker = new Docker()
const log = pino({ level: 'silent' })
const dir = mkdtempSync(join(tmpdir(), 'rgrid-images-'))
const made: string[] = []
let record: ImageRecord
let now = 0

beforeEach(async () => {
  rmSync(join(dir, 'images.json'), { force: true })
  now = 1000
  record = await openImageRecord(dir, log, () => now++)
})
after(async () => {
  for (const name of made) await runCommand('docker', ['rmi', '-f', name])
  rmSync(dir, { recursive: true })
})

/** An image of its own with a name, as a pull leaves it. */
async function anImage(): Promise<{ id: string; reference: string }> {
  const reference = `rgrid-test-${randomBytes(4).toString('hex')}:1`
  const context = join(dir, reference.split(':')[0] as string)
  writeFileSync(context, reference)
  const tar = await runCommand('sh', ['-c', `tar -C ${dir} -c ${reference.split(':')[0]} | docker import - ${reference}`])
  assert.equal(tar.code, 0, tar.stderr)
  made.push(reference)
  return { reference, id: (await docker.getImage(reference).inspect()).Id }
}

const isThere = async (reference: string) => (await runCommand('docker', ['image', 'inspect', reference])).code === 0

/** A disk that is too full until so many images were removed. */
function collect(change: Partial<ImageCollectorOptions> & { until: number }): Promise<string[]> {
  let looks = 0
  const usedPercent = async () => (looks++ < change.until ? 90 : 50)
  return collectImages({ docker, record, log, maxPercent: 85, usedPercent, wanted: () => new Set(), ...change })
}

test('the image that was used longest ago goes first, and no more than needed', async () => {
  const [a, b, c] = [await anImage(), await anImage(), await anImage()]
  for (const { reference, id } of [a, b, c]) await record.pulled(reference, id)
  await record.used(a.id)
  assert.deepEqual(await collect({ until: 1 }), [b.reference])
  assert.deepEqual([await isThere(a.reference), await isThere(b.reference), await isThere(c.reference)], [true, false, true])
})

test('a disk with room keeps them all', async () => {
  const image = await anImage()
  await record.pulled(image.reference, image.id)
  assert.deepEqual(await collect({ until: 0 }), [])
})

test('what a container has, what an attempt wants, and what was not pulled by the runner stays, however full the disk is', async () => {
  const [inUse, wanted, foreign, free] = [await anImage(), await anImage(), await anImage(), await anImage()]
  for (const { reference, id } of [inUse, wanted, free]) await record.pulled(reference, id)
  const container = await docker.createContainer({ Image: inUse.reference, Cmd: ['none'] })
  try {
    assert.deepEqual(await collect({ until: 99, wanted: () => new Set([wanted.reference]) }), [free.reference])
  } finally {
    await container.remove()
  }
  assert.deepEqual([await isThere(inUse.reference), await isThere(wanted.reference), await isThere(foreign.reference)], [true, true, true])
})

test('a name that somebody else gave keeps the image, and each name that an attempt wants does', async () => {
  const [tagged, twice] = [await anImage(), await anImage()]
  await record.pulled(tagged.reference, tagged.id)
  await docker.getImage(tagged.id).tag({ repo: tagged.reference.split(':')[0] as string, tag: 'keep' })
  made.push(tagged.reference.replace(/:1$/, ':keep'))
  const other = twice.reference.replace(/:1$/, ':2')
  await docker.getImage(twice.id).tag({ repo: other.split(':')[0] as string, tag: '2' })
  made.push(other)
  await record.pulled(twice.reference, twice.id)
  await record.pulled(other, twice.id)
  assert.deepEqual(await collect({ until: 99, wanted: () => new Set([twice.reference]) }), [])
  assert.deepEqual([await isThere(tagged.reference), await isThere(other)], [true, true])
  assert.deepEqual(await collect({ until: 99 }), [twice.reference, other])
})

test('what was pulled is known after a restart; an image that has gone meanwhile is forgotten', async () => {
  const image = await anImage()
  await record.pulled(image.reference, image.id)
  await docker.getImage(image.reference).remove()
  const again = await openImageRecord(dir, log, () => now++)
  assert.deepEqual(
    again.all().map(({ references }) => references),
    [[image.reference]],
  )
  await collect({ until: 1, record: again })
  assert.deepEqual(again.all(), [])
})

test('a record that cannot be read counts as empty, and is written anew', async () => {
  for (const text of ['', '{', '{"a":1}', '[{"id":1}]']) {
    writeFileSync(join(dir, 'images.json'), text)
    const opened = await openImageRecord(dir, log, () => now++)
    assert.deepEqual(opened.all(), [])
    await opened.pulled('x:1', 'sha256:x')
    assert.equal((await openImageRecord(dir, log, () => now++)).all().length, 1)
  }
})

test('how full the disk is can be told', async () => {
  const percent = await imageDiskPercent(docker, dir)
  assert.ok(percent > 0 && percent < 100)
})
