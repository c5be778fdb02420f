import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { IMAGES, RUNTIME_IMAGES } from '../../../infra/images/table.ts'

const ROOT = join(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

test('no image of ours bears an official name', () => {
  for (const entry of Object.values(IMAGES)) assert.match(entry.build, /^rgrid\//)
})

test('each Dockerfile takes its base as an argument and runs no npm', () => {
  for (const entry of Object.values(IMAGES).filter(({ folder }) => folder)) {
    const lines = read(`infra/images/${entry.folder}/Dockerfile`)
    assert.match(lines, /^ARG BASE=.+\nFROM \$\{BASE\}$/m)
    assert.doesNotMatch(lines, /RUN.*\bnpm\b/)
  }
})

test('the runtimes made ready beforehand are named ones of the platform', () => {
  const known = read('core/runtimes.ts')
  for (const runtime of Object.keys(RUNTIME_IMAGES)) assert.ok(known.includes(`${runtime}`), runtime)
})

test('compose and the local bring-up use the same services', () => {
  const compose = parse(read('compose.yaml'), { merge: true }) as { services: Record<string, { image: string }> }
  for (const name of ['postgres', 'nats', 's3'] as const) {
    const official = IMAGES[name].official?.replace(/^docker\.io\/(library\/)?/, '')
    assert.equal(compose.services[name]?.image, `\${${name.toUpperCase()}_IMAGE:-${official}}`)
  }
})

test('each part of the platform is shipped with no more of ours than it may import', () => {
  const copied = (part: string) =>
    [...read(`infra/docker/Dockerfile.${part}`).matchAll(/^COPY (\S+) /gm)]
      .map((match) => match[1])
      .filter((name) => !/package\.json|node_modules/.test(name ?? ''))
  assert.deepEqual(copied('gateway'), ['core', 'bus', 'store', 'gateway'])
  assert.deepEqual(copied('scheduler'), ['core', 'bus', 'store', 'scheduler'])
  assert.deepEqual(copied('node-runner'), ['core', 'bus', 'node-runner'])
})
