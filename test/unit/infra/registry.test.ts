import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import type Docker from 'dockerode'
import { createPuller } from '../../../infra/local/registry.ts'
import { readSettings } from '../../../infra/local/settings.ts'

const stateDir = mkdtempSync(join(tmpdir(), 'rgrid-registry-'))
after(() => rmSync(stateDir, { recursive: true }))

/** An engine whose registry knows some images; `down` stands for one that no registry answers. */
function engine(known: readonly string[] | 'down') {
  const asked: string[] = []
  const docker = {
    pull: async (image: string) => {
      asked.push(image)
      if (known === 'down') throw Object.assign(new Error('dial tcp: no route to host'), { statusCode: 500 })
      if (!known.includes(image)) throw Object.assign(new Error('no such image'), { statusCode: 404 })
      return Readable.from([])
    },
    modem: { followProgress: (_stream: unknown, done: (error: null) => void) => done(null) },
  } as unknown as Docker
  return { asked, docker }
}

const puller = (docker: Docker, env: Record<string, string> = {}) =>
  createPuller(readSettings({ RGRID_STATE_DIR: stateDir, ...env }), docker, new AbortController().signal)

test('one registry that does not answer is asked once, however many images are wanted', async () => {
  const { asked, docker } = engine('down')
  const pull = puller(docker)
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map(pull)), [false, false, false])
  assert.equal(await pull('d'), false)
  assert.deepEqual(asked, ['a'])
})

test('an image that the registry lacks does not keep the others from being pulled', async () => {
  const { asked, docker } = engine(['b', 'c'])
  assert.deepEqual(await Promise.all(['a', 'b', 'c'].map(puller(docker))), [false, true, true])
  assert.deepEqual(asked, ['a', 'b', 'c'])
})

test('RGRID_PULL=never asks no registry', async () => {
  const { asked, docker } = engine(['a'])
  assert.equal(await puller(docker, { RGRID_PULL: 'never' })('a'), false)
  assert.deepEqual(asked, [])
})
